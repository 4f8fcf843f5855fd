"""The manifest of a model package: what a graph is, reads, answers, and was measured to be worth.

A package is a folder ``<name>/<version>/`` that holds ``model.onnx`` and ``manifest.json``. The
export writes it, the service reads it, and this file and `service.provenance` alone define it.
"""

import errno
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from unicodedata import normalize

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from service.imaging.input_spec import InputSpec, Part
from service.provenance import Accuracy, Parity, ParityReference, Provenance

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "model.onnx"
INPUT_FIELDS_OF_2 = ("anchor", "channel_order", "scale")  # which version 1 does not have
LEAST_TOP_K = 5  # may be asked for of fewer classes: exports wrote it whatever their number
LARGEST_ID = 2**53 - 1  # that every reader of JSON takes for the same whole number
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

Task = Literal["classification", "detection"]
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


class _Manifest(Part):
    """Everything that is known of a package, whatever its task."""

    INPUTS: ClassVar[tuple[str, ...]]
    MORE_INPUTS: ClassVar[tuple[str, ...]] = ()  # that some graphs have
    OUTPUTS: ClassVar[tuple[str, ...]]
    MORE_OUTPUTS: ClassVar[tuple[str, ...]] = ()

    schema_version: Literal[2] = 2
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    task: Task
    labels: tuple[Label, ...] = Field(min_length=1)
    input: InputSpec
    defaults: DetectionDefaults | ClassificationDefaults
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

    @property
    def main_metric(self) -> float | None:
        """By which models of a task are ranked: COCO's AP, or top-1; None if it was not
        measured."""
        return None if self.accuracy is None else self.accuracy.metrics.get(MAIN_METRICS[self.task])

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain values, without the fields that are not set."""
        return self.model_dump(mode="json", exclude_none=True)

    def write(self, path: Path) -> None:
        """Write ``path``; raises OSError."""
        path.write_text(self.model_dump_json(indent=2, exclude_none=True) + "\n")


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


def _from_version_1(content: Any) -> Any:
    """A manifest of version 1 as version 2 says the same; raises ValueError for what it cannot say.

    There ``parity.reference`` was free text: "PyTorch", or the precision that was converted.
    """
    if not isinstance(content, dict) or content.get("schema_version", 1) != 1:
        return content
    model_input, parity, provenance = (
        content[part] if isinstance(content.get(part), dict) else {}
        for part in ("input", "parity", "provenance")
    )
    stated = [f"input.{field}" for field in INPUT_FIELDS_OF_2 if field in model_input]
    if model_input.get("resize") == "stretch":
        stated.append("input.resize: stretch")
    if (reference := parity.get("reference")) in get_args(ParityReference):
        stated.append(f"parity.reference: {reference}")
    if stated:
        raise ValueError(f"{stated[0]} is of schema_version 2, and this manifest is of 1")
    upgraded = {**content, "schema_version": 2}
    if parity:
        reference = "float32_package" if provenance.get("converted") else "boxport_network"
        upgraded["parity"] = {**parity, "reference": reference}
    if model_input.get("resize") == "centre_crop":  # it stated what a crop does not use as well
        unused = {"fill"} | ({"antialias"} if model_input.get("antialias") is True else set())
        upgraded["input"] = {k: v for k, v in model_input.items() if k not in unused}
    return upgraded


ModelManifest = Annotated[DetectionManifest | ClassificationManifest, Field(discriminator="task")]
MANIFEST: TypeAdapter[ModelManifest] = TypeAdapter(ModelManifest)


def read_manifest(path: Path) -> ModelManifest:
    """Read ``path``; raises ManifestError with one line that names the first fault.

    What another reader could take for something else is a fault: a key that is there twice, a
    number in quotes, true for 1.
    """
    try:
        content = _from_version_1(_parse(read_file(path)))
        return MANIFEST.validate_json(json.dumps(content), strict=True)
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise ManifestError(f"{path}: {_describe(error.errors()[0])}") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: content: {error}") from error


def read_file(path: Path) -> bytes:
    """The content of one of a package's files; raises OSError, of a pipe too: nobody may ever write
    to it."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Is no plain file", str(path))
    return path.read_bytes()


def _parse(content: bytes) -> Any:
    """JSON in UTF-8; raises ValueError or RecursionError."""
    return json.loads(content.decode(), object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return found


def _describe(fault: ErrorDetails) -> str:
    """The field, and what is wrong with it; pydantic puts a union's tag into the field's path."""
    path, message = [str(part) for part in fault["loc"][1:]], fault["msg"]
    if path[:1] == ["input"]:
        del path[1:2]
    if fault["type"].startswith("union_tag"):
        union = fault["ctx"]
        path.append(union["discriminator"].strip("'"))
        expected = union.get("expected_tags")
        message = f"Input should be one of {expected}" if expected else "Field required"
    return f"{'.'.join(path) or 'content'}: {message}"
