"""The manifest of a model package: what a graph is, reads, answers, and was measured to be worth.

A package is a folder ``<name>/<version>/`` that holds ``model.onnx`` and ``manifest.json``. The
export writes it, the service reads it, and this file is the only definition of its content.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from unicodedata import normalize

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from typing_extensions import TypeAliasType

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "model.onnx"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]*$"
VERSION_PATTERN = r"^[1-9][0-9]*$"

DETECTION_INPUTS = (
    "images",
    "score_threshold",
    "iou_threshold",
    "max_detections",
    "class_agnostic",
)
DETECTION_OUTPUTS = ("num_detections", "boxes", "scores", "labels")
CLASSIFICATION_INPUTS = ("images",)
CLASSIFICATION_OUTPUTS = ("probabilities",)

Task = Literal["classification", "detection"]
Activation = Literal["softmax", "sigmoid"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Channel = Annotated[int, Field(ge=0, le=255)]


class ManifestError(Exception):
    """A manifest that cannot be read; the message says which file and why."""


class Part(BaseModel):
    """A part of the manifest: typed, without unknown fields, not changed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Part):
    """One class. Its place in the manifest's list is its index in the graph's output."""

    id: int = Field(description="The data set's own id, such as a COCO category id.")
    name: str = Field(min_length=1)


class _Input(Part):
    """How a photo becomes the graph's input, uint8 [N, height, width, 3].

    Normalisation happens inside the graph; ``mean`` and ``std``, of channels scaled to 0..1, are
    stated for readers.
    """

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    resize: Literal["letterbox", "shorter_side", "centre_crop"]
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def varies(self) -> bool:
        """Whether inputs differ in size; ``height`` and ``width`` are then upper bounds."""
        return self.resize == "shorter_side"


class _FilledInput(_Input):
    """An input of which the photo leaves a part empty: it lies in the top left corner."""

    antialias: bool = Field(True, description="Whether a photo that is made smaller is smoothed.")
    fill: tuple[Channel, Channel, Channel] = Field(
        (128, 128, 128), description="RGB of the part that the photo leaves empty."
    )

    @model_validator(mode="after")
    def _can_be_resized(self) -> Self:
        if not self.antialias and self.interpolation != "bilinear":
            raise ValueError("only a bilinear resize can do without antialias")
        return self


class Letterbox(_FilledInput):
    """The whole photo, scaled to fit into the input."""

    resize: Literal["letterbox"] = "letterbox"


class ShorterSide(_FilledInput):
    """The whole photo, one side scaled and both filled up to a multiple of ``divisor``."""

    resize: Literal["shorter_side"] = "shorter_side"
    shorter_side: int = Field(gt=0, description="Pixels of the shorter side after scaling.")
    longer_side: int = Field(
        gt=0, description="Pixels that the longer side may have after scaling at most."
    )
    divisor: int = Field(gt=0, description="Of the sides of the input.")


class CentreCrop(_Input):
    """The middle of the photo, after its shorter side is scaled."""

    resize: Literal["centre_crop"] = "centre_crop"
    shorter_side: int = Field(
        gt=0, description="Pixels of the shorter side after scaling, before the crop."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_fill(cls, content: Any) -> Any:
        """Version 1 states of a crop, too, that it is smoothed and how it is filled."""
        if isinstance(content, dict):
            unused = {"fill"} | ({"antialias"} if content.get("antialias") is True else set())
            return {key: value for key, value in content.items() if key not in unused}
        return content


FilledInput = Letterbox | ShorterSide
InputSpec = TypeAliasType(
    "InputSpec",
    Annotated[
        Letterbox | ShorterSide | CentreCrop,
        Field(discriminator="resize", description="How a photo becomes the graph's input."),
    ],
)


class Tensor(Part):
    """A graph's input or output; a dimension that varies is named."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class DetectionDefaults(Part):
    """The thresholds of a request that states none."""

    score_threshold: float = Field(ge=0, le=1)
    iou_threshold: float = Field(ge=0, le=1)
    max_detections: int = Field(gt=0)


class ClassificationDefaults(Part):
    """How many classes a request that states no number gets."""

    top_k: int = Field(gt=0)


class Conversion(Part):
    """The float32 package that a package in lower precision was made from, and how."""

    package: str = Field(description="Its name and version.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its graph.")
    calibration: str | None = Field(None, description="How 8 bits' ranges were found.")
    photos: int | None = Field(None, description="How many photos they were found on.")
    in_float: tuple[str, ...] = Field((), description="Modules that were left in float32.")
    fidelity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of a detector: AP with the float32 package's detections as the truth. Of a"
        " classifier: the share of the probabilities that both give to the same classes.",
    )


class Provenance(Part):
    """Where the weights come from, and what turned them into the graph."""

    architecture: str
    weights_file: str
    weights_sha256: str
    licence: str
    tools: dict[str, str] = Field(description="Versions of what the export ran with.")
    converted: Conversion | None = Field(None, description="Of a package in lower precision.")


class Tolerance(Part):
    """Up to which difference two answers count as the same."""

    score: float = Field(ge=0, le=1)
    iou: float = Field(ge=0, le=1, description="That boxes must have at least.")
    box_px: float | None = Field(None, ge=0, description="Of each side of a box.")
    matched: float = Field(
        ge=0,
        le=1,
        validation_alias=AliasChoices("matched", "twins"),  # "twins" until 0.1
        description="The share of answers that must have a match on the other side.",
    )


class ParityCase(Part):
    """One kind of input that the parity gate tried."""

    name: str
    images: int = Field(ge=0, description="Counted as often as they ran.")
    detections: int | None = Field(None, description="Pairs that were compared.")


class Parity(Part):
    """What the graph was compared with at export, on what, and the greatest differences seen."""

    reference: str = "PyTorch"
    images: int = Field(description="Real photos; other images are in ``cases``.")
    batch_sizes: tuple[int, ...]
    cases: tuple[ParityCase, ...] = ()
    tolerance: Tolerance | None = None
    agreeing: float = Field(1.0, ge=0, le=1, description="The share of answers that are the same.")
    max_score_difference: float
    max_box_difference_px: float | None = None
    min_iou: float | None = None
    detections_compared: int | None = None
    ambiguous: int | None = Field(
        None,
        validation_alias=AliasChoices("ambiguous", "tied"),
        description="Detections without a match because two overlapping ones have equal scores, so"
        " that either may suppress the other.",
    )


class Accuracy(Part):
    """Figures measured through the exported graph, each in 0..1.

    Of a detector COCO's: ap, ap50, ap75, ap_small, ap_medium, ap_large and ar100; of a classifier
    top1 and top5. What the data have nothing to measure on is left out.
    """

    data: str
    images: int
    metrics: dict[str, float]
    classes: dict[str, float] | None = Field(
        None, description="AP of each class of the data, by its name; of a detector."
    )


class _Manifest(Part):
    """Everything that is known of a package, whatever its task."""

    INPUTS: ClassVar[tuple[str, ...]]
    OUTPUTS: ClassVar[tuple[str, ...]]

    schema_version: Literal[1] = 1
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
        if tuple(t.name for t in self.inputs) != self.INPUTS:
            raise ValueError(f"inputs must be {', '.join(self.INPUTS)}; export the model again")
        if tuple(t.name for t in self.outputs) != self.OUTPUTS:
            raise ValueError(f"outputs must be {', '.join(self.OUTPUTS)}")
        return self

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain values, without the fields that are not set."""
        return self.model_dump(mode="json", exclude_none=True)

    def write(self, path: Path) -> None:
        """Write ``path``; raises OSError."""
        path.write_text(self.model_dump_json(indent=2, exclude_none=True) + "\n")


class DetectionManifest(_Manifest):
    """Everything that is known of a detector."""

    INPUTS = DETECTION_INPUTS
    OUTPUTS = DETECTION_OUTPUTS

    task: Literal["detection"] = "detection"
    defaults: DetectionDefaults

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        """Requests choose by names, however their accents are written, and data sets have ids."""
        values = [v for label in self.labels for v in (normalize("NFC", label.name), label.id)]
        if len(set(values)) < len(values):
            raise ValueError(f"two labels are called {max(values, key=values.count)!r}")
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

    def top_k(self, asked: int | None) -> int:
        """How many classes a request gets that asks for so many, or does not say."""
        return asked or min(self.defaults.top_k, len(self.labels))


ModelManifest = Annotated[DetectionManifest | ClassificationManifest, Field(discriminator="task")]
MANIFEST: TypeAdapter[ModelManifest] = TypeAdapter(ModelManifest)


def read_manifest(path: Path) -> ModelManifest:
    """Read ``path``; raises ManifestError with one line that names the first fault."""
    try:
        return MANIFEST.validate_json(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise ManifestError(f"{path}: {_describe(error.errors()[0])}") from error


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
