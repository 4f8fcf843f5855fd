"""The shapes of models, as the service's OpenAPI description shows them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from service.manifest import ClassificationManifest, DetectionManifest, Measure, Precision
from service.repository.version import State
from service.rollout.report import RolloutSummary

# An alias, so that it stands in the description by its name.
ModelState = TypeAliasType(
    "ModelState",
    Annotated[
        str,
        Field(
            description="ready: in memory. evicted: loaded again by the next request that asks"
            " for it. unloaded: by an operator. failed: its package is unfit.",
            json_schema_extra={"enum": [state.value for state in State]},
        ),
    ],
)


class CompanionStatus(BaseModel):
    """What tells how novel photos are to the model; or why there is no use of it."""

    name: str
    version: str
    measure: Measure | None = Field(None, description="The distance that novelty is of.")
    auroc: float | None = Field(
        None, ge=0, le=1, description="How well it tells training photos from others, at export."
    )
    reason: str | None = Field(None, description="Why it is not used.")


class ModelStatus(BaseModel):
    """How a model is served. What follows `reason` is that of a model in memory."""

    state: ModelState
    pinned: bool = Field(description="Whether the bare name means this version in any case.")
    is_default: bool = Field(description="Whether it answers requests that name no model.")
    reason: str | None = Field(None, description="Why the newest package is not what is served.")
    provider: str | None = Field(
        None, description="What runs the graph, such as cpu, cuda or openvino."
    )
    precision: Precision | None = Field(None, description="That the graph is run in.")
    threads: int | None = Field(None, ge=1, description="Of each run.")
    latency_threads: int | None = Field(None, ge=1, description="Of a run that is the only one.")
    lone_threads: int | None = Field(
        None, ge=1, description="latency_threads under its former name.", deprecated=True
    )
    concurrent_runs: int | None = Field(None, ge=1, description="Batches that run at once.")
    max_batch_size: int | None = Field(None, ge=1, description="Images that run together.")
    session_bytes: int | None = Field(None, ge=0, description="Memory that its sessions take.")
    companion: CompanionStatus | None = Field(
        None, description="What tells how novel photos are to the model, if it has one."
    )
    rollout: RolloutSummary | None = Field(
        None, description="How it is tried on live traffic, or was, if it is."
    )


COMPARED_WITH = Field(
    description="What the package's answers were compared with at export, in words; `parity` has"
    " the figures."
)


class DetectorDescription(DetectionManifest):
    """A detector's manifest, and how it is served."""

    compared_with: str = COMPARED_WITH
    status: ModelStatus


class ClassifierDescription(ClassificationManifest):
    """A classifier's manifest, and how it is served."""

    compared_with: str = COMPARED_WITH
    status: ModelStatus


ModelDescription = TypeAliasType(
    "ModelDescription",
    Annotated[
        DetectorDescription | ClassifierDescription,
        Field(discriminator="task", description="A model's manifest, and how it is served."),
    ],
)


class UnreadableModel(BaseModel):
    """A package of which not even the manifest can be read; `status.reason` says why."""

    model_config = ConfigDict(extra="forbid")

    name: str
    version: str
    status: ModelStatus


class ModelList(BaseModel):
    """By name, and the newest version of each first."""

    models: list[ModelDescription | UnreadableModel]
