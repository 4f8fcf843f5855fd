"""What the service says, as frozen typed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL import Image

    from boxport_client.photos import Photo

Json = Mapping[str, Any]


class Box(NamedTuple):
    """Corners in pixels of the upright photo; x grows to the right and y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """Left, top, width, height: COCO's order."""
        return self.left, self.top, self.right - self.left, self.bottom - self.top


@dataclass(frozen=True)
class ModelReference:
    """The model that gave an answer. ``sha256`` is that of its graph."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Detection:
    """One object. ``score`` is in 0..1; ``label_id`` is the data set's own id of the label."""

    box: Box
    score: float
    label: str
    label_id: int


@dataclass(frozen=True)
class DetectionResult:
    """The objects in one photo, best first; iterates over them.

    width, height: of the upright photo, in pixels.
    timing_ms: what the service spent on decoding, queueing, inference and in total.
    """

    width: int
    height: int
    detections: tuple[Detection, ...]
    model: ModelReference
    request_id: str
    timing_ms: Mapping[str, float]

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    def __len__(self) -> int:
        return len(self.detections)

    def draw(self, photo: Photo) -> Image.Image:
        """A copy of ``photo`` with the boxes and their labels drawn on it; raises PhotoError."""
        from boxport_client.drawing import draw_detections

        return draw_detections(photo, self)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON would have it, boxes as lists."""
        content = asdict(self)
        for row in content["detections"]:
            row["box"] = list(row["box"])
        return {**content, "detections": list(content["detections"])}

    @classmethod
    def from_answer(cls, answer: Json) -> DetectionResult:
        """Read the service's answer on one image."""
        (image,) = answer["results"]
        return cls(
            width=image["width"],
            height=image["height"],
            detections=tuple(
                Detection(Box(*row["box"]), row["score"], row["label"], row["label_id"])
                for row in image["detections"]
            ),
            model=ModelReference(**answer["model"]),
            request_id=answer["request_id"],
            timing_ms=answer["timing_ms"],
        )


@dataclass(frozen=True)
class Classification:
    """One class. ``score`` is its probability, in 0..1."""

    label: str
    label_id: int
    score: float


@dataclass(frozen=True)
class ClassificationResult:
    """What one photo shows, best first; iterates over the classes."""

    width: int
    height: int
    classifications: tuple[Classification, ...]
    model: ModelReference
    request_id: str
    timing_ms: Mapping[str, float]

    def __iter__(self) -> Iterator[Classification]:
        return iter(self.classifications)

    def __len__(self) -> int:
        return len(self.classifications)

    @property
    def best(self) -> Classification:
        return self.classifications[0]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON would have it."""
        content = asdict(self)
        return {**content, "classifications": list(content["classifications"])}

    @classmethod
    def from_answer(cls, answer: Json) -> ClassificationResult:
        """Read the service's answer on one image."""
        (image,) = answer["results"]
        return cls(
            width=image["width"],
            height=image["height"],
            classifications=tuple(
                Classification(row["label"], row["label_id"], row["score"])
                for row in image["classifications"]
            ),
            model=ModelReference(**answer["model"]),
            request_id=answer["request_id"],
            timing_ms=answer["timing_ms"],
        )


@dataclass(frozen=True)
class ModelInfo:
    """A model that the service holds. ``task`` is "detection" or "classification"."""

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    manifest: Json

    @classmethod
    def from_json(cls, model: Json) -> ModelInfo:
        labels = tuple(label["name"] for label in model["labels"])
        return cls(model["name"], model["version"], model["task"], labels, model)
