"""The manifest of a model package: what a graph is, reads, answers, and was measured to be worth.

A package is a folder ``<name>/<version>/`` that holds ``model.onnx`` and ``manifest.json``. The
export writes it, the service reads it, and this file and `service.provenance` alone define it.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from unicodedata import normalize

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from service.imaging.input_spec import InputSpec, Part, Stretch
from service.manifest_file import describe, from_version_1, parse, read_file
from service.provenance import Accuracy, Parity, Provenance

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "model.onnx"
LEAST_TOP_K = 5  # may be asked for of fewer classes: exports wrote it whatever their number
LARGEST_ID = 2**53 - 1  # that every reader of JSON takes for the same whole number
COMPANION_SUFFIX = ".novelty"  # of a model's name, which makes its companion's
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]*$"
VERSION_PATTERN = r"^[1-9][0-9]*$"

DETECTION_INPUTS = (
    "images",
    "score_threshold",
    "iou_threshold",
    "max_detections",
    "class_agnostic",
)
REGIONS = "regions"  # of a detector that looks where it is told: float32 [N, R, 4]
DETECTION_OUTPUTS = ("num_detections", "boxes", "scores", "labels")
CONTOURS = "contours"  # of a detector that finds outlines: float32 [N, K, V, 2]
CLASSIFICATION_INPUTS = ("images",)
CLASSIFICATION_OUTPUTS = ("probabilities",)
NOVELTY_OUTPUTS = ("distances",)

Task = Literal["classification", "detection"]  # that requests ask for
PackageTask = Task | Literal["novelty"]
Measure = Literal["mahalanobis", "reconstruction_error", "latent_distance"]
Activation = Literal["softmax", "sigmoid"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]

MAIN_METRICS: dict[Task, str] = {"detection": "ap", "classification": "top1"}


class ManifestError(Exception):
    """A manifest that cannot be read; the message says which file and why."""


class Label(Part):
    """One class. Its place in the manifest's list is its index in the graph's output."""

    id: int = Field(
        ge=-LARGEST_ID,
        le=LARGEST_ID,
        description="The data set's own id, such as a COCO category id.",
    )
    name: str = Field(min_length=1)


class Tensor(Part):
    """A graph's input or output; a dimension that varies is named."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class DetectionDefaults(Part):
    """The thresholds of a request that states none."""

    score_threshold: float = Field(ge=0, le=1)
    iou_threshold: float = Field(ge=0, le=1)
    max_detections: int = Field(gt=0, le=1000)


class Floor(Part):
    """What an adopted graph had suppressed for good before its run-time inputs count: a request
    for more is answered as far as it goes."""

    score_threshold: float = Field(0.0, ge=0, le=1, description="Nothing scores below it.")
    iou_threshold: float = Field(
        1.0, ge=0, le=1, description="No two detections of one label overlap by more."
    )
    max_detections: int = Field(gt=0, description="An image never has more.")


class ClassificationDefaults(Part):
    """How many classes a request that states no number gets."""

    top_k: int = Field(gt=0)


class _Package(Part):
    """Everything that is known of a package, whatever its task."""

    INPUTS: ClassVar[tuple[str, ...]]
    MORE_INPUTS: ClassVar[tuple[str, ...]] = ()  # that some graphs have
    OUTPUTS: ClassVar[tuple[str, ...]]
    MORE_OUTPUTS: ClassVar[tuple[str, ...]] = ()

    schema_version: Literal[2] = 2
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    task: PackageTask
    input: InputSpec
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    precision: Precision
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the graph's file.")
    provenance: Provenance
    parity: Parity
    accuracy: Accuracy | None = None

    @model_validator(mode="after")
    def _has_the_tasks_tensors(self) -> Self:
        names = tuple(t.name for t in self.inputs)
        if names not in (self.INPUTS, (*self.INPUTS, *self.MORE_INPUTS)):
            raise ValueError(f"inputs must be {', '.join(self.INPUTS)}; export the model again")
        names = tuple(t.name for t in self.outputs)
        if names not in (self.OUTPUTS, (*self.OUTPUTS, *self.MORE_OUTPUTS)):
            raise ValueError(f"outputs must be {', '.join(self.OUTPUTS)}")
        return self

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        sides = self.inputs[0].shape[1:3]
        if not self.input.varies and sides != (self.input.height, self.input.width):
            raise ValueError(
                f"input is {self.input.height} x {self.input.width}, inputs say {sides}"
            )
        if self.input.varies and any(isinstance(side, int) for side in sides):
            raise ValueError(f"input varies, inputs say {sides}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain values, without the fields that are not set."""
        return self.model_dump(mode="json", exclude_none=True)

    def write(self, path: Path) -> None:
        """Write ``path``; raises OSError."""
        path.write_text(self.model_dump_json(indent=2, exclude_none=True) + "\n")


class _Manifest(_Package):
    """Everything that is known of a package that answers requests."""

    task: Task
    labels: tuple[Label, ...] = Field(min_length=1)
    defaults: DetectionDefaults | ClassificationDefaults

    @property
    def main_metric(self) -> float | None:
        """By which models of a task are ranked: COCO's AP, or top-1; None if it was not
        measured."""
        return None if self.accuracy is None else self.accuracy.metrics.get(MAIN_METRICS[self.task])


class DetectionManifest(_Manifest):
    """Everything that is known of a detector."""

    INPUTS = DETECTION_INPUTS
    MORE_INPUTS = (REGIONS,)
    OUTPUTS = DETECTION_OUTPUTS
    MORE_OUTPUTS = (CONTOURS,)

    task: Literal["detection"] = "detection"
    defaults: DetectionDefaults
    floor: Floor | None = None

    @property
    def reads_regions(self) -> bool:
        """Whether it looks where it is told."""
        return self.inputs[-1].name == REGIONS

    @property
    def has_contours(self) -> bool:
        """Whether it outlines what it finds."""
        return self.outputs[-1].name == CONTOURS

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        """Requests choose by names, however their accents are written, and data sets have ids."""
        values = [v for label in self.labels for v in (normalize("NFC", label.name), label.id)]
        if len(set(values)) < len(values):
            raise ValueError(f"two labels are called {max(values, key=values.count)!r}")
        return self

    @model_validator(mode="after")
    def _measured_its_own_labels(self) -> Self:
        measured = set((self.accuracy and self.accuracy.classes) or ())
        if unknown := sorted(measured - {label.name for label in self.labels}):
            raise ValueError(f"accuracy is of {unknown[0]!r}, which is no label")
        return self


class ClassificationManifest(_Manifest):
    """Everything that is known of a classifier."""

    INPUTS = CLASSIFICATION_INPUTS
    OUTPUTS = CLASSIFICATION_OUTPUTS

    task: Literal["classification"] = "classification"
    defaults: ClassificationDefaults
    activation: Activation = Field(
        description="softmax for photos of one class each, sigmoid for photos that may be of"
        " several."
    )

    @model_validator(mode="after")
    def _has_a_label_for_each_class(self) -> Self:
        shape, ids = self.outputs[0].shape, [label.id for label in self.labels]
        classes = shape[-1] if shape else None
        if classes != len(ids):
            raise ValueError(f"there are {len(ids)} labels, and outputs of {classes} classes")
        if len(set(ids)) < len(ids):
            raise ValueError(f"two labels have the id {max(ids, key=ids.count)}")
        if self.defaults.top_k > max(LEAST_TOP_K, len(ids)):
            raise ValueError(f"top_k is {self.defaults.top_k}, and there are {len(ids)} labels")
        return self

    def top_k(self, asked: int | None) -> int:
        """How many classes a request gets that asks for so many, or does not say."""
        return asked or min(self.defaults.top_k, len(self.labels))


class Watched(Part):
    """The package whose photos a companion judges."""

    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its graph.")


class NoveltyManifest(_Package):
    """Everything that is known of a companion: how far a photo is from those that a model was
    trained on. It reads what shows the photo on the model's input, stretched to its own."""

    INPUTS = CLASSIFICATION_INPUTS
    OUTPUTS = NOVELTY_OUTPUTS

    task: Literal["novelty"] = "novelty"
    input: Stretch
    companion_of: Watched
    measures: tuple[Measure, ...] = Field(min_length=1, description="The columns of `distances`.")
    measure: Measure = Field(description="The one that novelty is the percentile of.")
    quantiles: tuple[float, ...] = Field(
        min_length=2,
        description="Of that distance among training photos that nothing was fitted on, from the"
        " least to the greatest, at equal steps.",
    )

    @model_validator(mode="after")
    def _names_its_measure(self) -> Self:
        if len(set(self.measures)) < len(self.measures) or self.measure not in self.measures:
            raise ValueError(f"measure is {self.measure}, of {', '.join(self.measures)}")
        if self.outputs[0].shape[-1:] != (len(self.measures),):
            raise ValueError(f"there are {len(self.measures)} measures, and {self.outputs[0]}")
        if any(later < sooner for sooner, later in pairwise(self.quantiles)):
            raise ValueError("quantiles must ascend")
        return self


ModelManifest = Annotated[DetectionManifest | ClassificationManifest, Field(discriminator="task")]
PackageManifest = Annotated[
    DetectionManifest | ClassificationManifest | NoveltyManifest, Field(discriminator="task")
]
MANIFEST: TypeAdapter[PackageManifest] = TypeAdapter(PackageManifest)


def read_manifest(path: Path) -> ModelManifest:
    """Read the manifest ``path`` of a package that answers requests; raises ManifestError with one
    line that names the first fault."""
    manifest = read_any_manifest(path)
    if isinstance(manifest, NoveltyManifest):
        raise ManifestError(
            f"{path}: is of a companion, which answers no requests: it belongs to"
            f" {manifest.companion_of.name}/{manifest.companion_of.version}"
        )
    return manifest


def read_any_manifest(path: Path) -> PackageManifest:
    """The same of a package of any task.

    What another reader could take for something else is a fault: a key that is there twice, a
    number in quotes, true for 1.
    """
    try:
        content = from_version_1(parse(read_file(path)))
        return MANIFEST.validate_json(json.dumps(content), strict=True)
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise ManifestError(f"{path}: {describe(error.errors()[0])}") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: content: {error}") from error
