"""The manifest of a model package: what a graph is, reads, answers, and was measured to be worth.

A package is a folder ``<name>/<version>/`` that holds ``model.onnx`` and ``manifest.json``. The
export writes it, the service reads it, and this file is the only definition of its content.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

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


class InputSpec(Part):
    """How a photo becomes the graph's input.

    "letterbox" fits the photo into the top left corner; "shorter_side" scales one side of it and
    fills both up to a multiple of ``divisor``, so that inputs differ in size, and ``height`` and
    ``width`` are the most that they can be; "centre_crop" scales the shorter side and cuts the
    middle out. Normalisation happens inside the graph; ``mean`` and ``std``, of channels scaled to
    0..1, are stated for readers.
    """

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    resize: Literal["letterbox", "shorter_side", "centre_crop"]
    interpolation: Literal["bilinear", "bicubic"]
    shorter_side: int | None = Field(
        None, gt=0, description="Pixels of the shorter side after scaling, before a crop."
    )
    longer_side: int | None = Field(
        None, gt=0, description="Pixels that the longer side may have after scaling at most."
    )
    divisor: int | None = Field(None, gt=0, description="Of the sides of an input that varies.")
    antialias: bool = Field(True, description="Whether a photo that is made smaller is smoothed.")
    fill: tuple[Channel, Channel, Channel] = Field(
        (128, 128, 128), description="RGB of the part that the photo leaves empty."
    )
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @model_validator(mode="after")
    def _fits_together(self) -> "InputSpec":
        needed = {
            "letterbox": (),
            "shorter_side": ("shorter_side", "longer_side", "divisor"),
            "centre_crop": ("shorter_side",),
        }[self.resize]
        for field in needed:
            if getattr(self, field) is None:
                raise ValueError(f"{self.resize} needs {field}")
        if not self.antialias and (
            self.resize == "centre_crop" or self.interpolation != "bilinear"
        ):
            raise ValueError("only a bilinear resize without a crop can do without antialias")
        return self


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


class ModelManifest(Part):
    """Everything that is known of a package."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    task: Task
    labels: tuple[Label, ...] = Field(min_length=1)
    input: InputSpec
    defaults: DetectionDefaults | ClassificationDefaults
    activation: Activation | None = Field(
        None,
        description="Of a classifier: softmax for photos of one class each, sigmoid for photos that"
        " may be of several.",
    )
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    precision: Precision
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the graph's file.")
    provenance: Provenance
    parity: Parity
    accuracy: Accuracy | None = None

    @model_validator(mode="after")
    def _fits_the_task(self) -> "ModelManifest":
        detects = self.task == "detection"
        if isinstance(self.defaults, DetectionDefaults) != detects:
            raise ValueError(f"defaults are not those of {self.task}")
        if (self.activation is None) != detects:
            raise ValueError("a classifier, and no detector, has an activation")
        expected_inputs = DETECTION_INPUTS if detects else CLASSIFICATION_INPUTS
        expected_outputs = DETECTION_OUTPUTS if detects else CLASSIFICATION_OUTPUTS
        if tuple(t.name for t in self.inputs) != expected_inputs:
            raise ValueError(f"inputs must be {', '.join(expected_inputs)}; export the model again")
        if tuple(t.name for t in self.outputs) != expected_outputs:
            raise ValueError(f"outputs must be {', '.join(expected_outputs)}")
        return self

    @classmethod
    def read(cls, path: Path) -> "ModelManifest":
        """Read ``path``; raises ManifestError with one line that names the first fault."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ManifestError(f"{path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "content"
            raise ManifestError(f"{path}: {where}: {first['msg']}") from error

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain values, without the fields that are not set."""
        return self.model_dump(mode="json", exclude_none=True)

    def write(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=2, exclude_none=True) + "\n")
