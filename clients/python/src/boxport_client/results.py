"""What the service says, as frozen typed values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from boxport_client.boxes import Box
from boxport_client.crops import crop, rgb_picture
from boxport_client.drawing import draw_detections
from boxport_client.exports import coco_annotations, data_frame, supervision_detections

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv
    from PIL import Image

    from boxport_client.photos import Photo

__all__ = [
    "Box",
    "Classification",
    "ClassificationResult",
    "Detection",
    "DetectionResult",
    "ModelInfo",
    "ModelReference",
]

Json = Mapping[str, Any]
SHOWN_CLASSES = 3


@dataclass(frozen=True)
class ModelReference:
    """The model that gave an answer. ``sha256`` is that of its graph."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, content: Json) -> ModelReference:
        return cls(content["name"], content["version"], content["sha256"])


@dataclass(frozen=True)
class Detection:
    """One object. ``score`` is in 0..1; ``label_id`` is the data set's own id of the label."""

    box: Box
    score: float
    label: str
    label_id: int

    def crop(self, photo: Photo, margin: float = 0.0) -> Image.Image:
        """The part of ``photo`` inside the box, upright and in RGB.

        margin: what to add on each side, as a share of the box's width or height; the photo's
            border ends it.

        Raises PhotoError if the photo cannot be read, and ValueError for a box outside it.
        """
        return crop(rgb_picture(photo), self.box, margin)

    def to_dict(self) -> dict[str, Any]:
        """The detection as the service's JSON has it."""
        return {
            "box": list(self.box),
            "score": self.score,
            "label": self.label,
            "label_id": self.label_id,
        }

    @classmethod
    def from_dict(cls, content: Json) -> Detection:
        return cls(Box(*content["box"]), content["score"], content["label"], content["label_id"])


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        found = ", ".join(f"{number} {label}" for label, number in self.counts.items())
        size = f"{self.width} x {self.height}"
        return f"<DetectionResult {size}: {found or 'nothing found'}; {self.model}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """Each label that was found, once, the one of the best score first."""
        return tuple(self.counts)

    @property
    def counts(self) -> dict[str, int]:
        """How many objects each label has, in the order of ``labels``."""
        return dict(Counter(detection.label for detection in self.detections))

    def filter(
        self,
        score: float | None = None,
        labels: Iterable[str] | None = None,
        min_area: float | None = None,
    ) -> DetectionResult:
        """The result with only those objects that meet every condition given.

        score: 0..1; they score above it, as with the service's ``score_threshold``.
        labels: they have one of these.
        min_area: square pixels; their boxes are at least as large.
        """
        wanted = None if labels is None else {labels} if isinstance(labels, str) else set(labels)
        return replace(
            self,
            detections=tuple(
                detection
                for detection in self.detections
                if (score is None or detection.score > score)
                and (wanted is None or detection.label in wanted)
                and (min_area is None or detection.box.area >= min_area)
            ),
        )

    def draw(
        self,
        photo: Photo,
        *,
        alpha: float = 0.0,
        labels: bool = True,
        line_width: int | None = None,
    ) -> Image.Image:
        """A copy of ``photo``, upright and in RGB, with the boxes drawn on it, the best on top.

        alpha: 0..1; how much of its label's colour a box is filled with.
        labels: whether labels and scores are written at the boxes.
        line_width: of the frames, in pixels; fits the photo's size if not given.

        Raises PhotoError if the photo cannot be read, and ValueError if it is not of the result's
        size or a parameter is out of its range.
        """
        return draw_detections(photo, self, alpha=alpha, labels=labels, line_width=line_width)

    def crop(self, photo: Photo, margin: float = 0.0) -> list[Image.Image]:
        """The part of ``photo`` inside each box, in the order of the detections.

        Parameter and errors are those of Detection.crop; also raises ValueError if the photo is
        not of the result's size.
        """
        picture = rgb_picture(photo, expected_size=(self.width, self.height))
        return [crop(picture, detection.box, margin) for detection in self.detections]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON would have it, boxes as lists; ``from_dict`` reads it."""
        return {
            "width": self.width,
            "height": self.height,
            "detections": [detection.to_dict() for detection in self.detections],
            "model": self.model.to_dict(),
            "request_id": self.request_id,
            "timing_ms": dict(self.timing_ms),
        }

    def to_coco(self, image_id: int, first_annotation_id: int = 1) -> list[dict[str, Any]]:
        """The detections as COCO annotations with scores, numbered from ``first_annotation_id``.

        For the file of a whole data set see boxport_client.exports.coco_dataset.
        """
        return coco_annotations(self, image_id, first_annotation_id)

    def to_pandas(self) -> pd.DataFrame:
        """A row a detection: label, label_id, score, left, top, right, bottom.

        Raises MissingExtra without pandas.
        """
        return data_frame(self)

    def to_supervision(self) -> sv.Detections:
        """The detections for Roboflow's supervision, labels as data["class_name"].

        Raises MissingExtra without supervision.
        """
        return supervision_detections(self)

    @classmethod
    def from_dict(cls, content: Json) -> DetectionResult:
        """Read what ``to_dict`` gave; raises ValueError for anything else."""
        try:
            return cls._from_parts(content, content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no dict of a {cls.__name__}: {error!r}") from error

    @classmethod
    def from_answer(cls, answer: Json) -> DetectionResult:
        """Read the service's answer on one image."""
        (image,) = answer["results"]
        return cls._from_parts(image, answer)

    @classmethod
    def _from_parts(cls, image: Json, answer: Json) -> DetectionResult:
        return cls(
            width=image["width"],
            height=image["height"],
            detections=tuple(map(Detection.from_dict, image["detections"])),
            model=ModelReference.from_dict(answer["model"]),
            request_id=answer["request_id"],
            timing_ms=answer["timing_ms"],
        )


@dataclass(frozen=True)
class Classification:
    """One class. ``score`` is its probability, in 0..1."""

    label: str
    label_id: int
    score: float

    def to_dict(self) -> dict[str, Any]:
        """The class as the service's JSON has it."""
        return {"label": self.label, "label_id": self.label_id, "score": self.score}

    @classmethod
    def from_dict(cls, content: Json) -> Classification:
        return cls(content["label"], content["label_id"], content["score"])


@dataclass(frozen=True, repr=False)
class ClassificationResult:
    """What one photo shows, best first; iterates over the classes.

    width, height: of the upright photo, in pixels.
    timing_ms: what the service spent on decoding, queueing, inference and in total.
    """

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

    def __repr__(self) -> str:
        shown = ", ".join(f"{c.label} {c.score:.2f}" for c in self.classifications[:SHOWN_CLASSES])
        more = ", ..." if len(self) > SHOWN_CLASSES else ""
        return f"<ClassificationResult {self.width} x {self.height}: {shown}{more}; {self.model}>"

    @property
    def best(self) -> Classification:
        return self.classifications[0]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON would have it; ``from_dict`` reads it."""
        return {
            "width": self.width,
            "height": self.height,
            "classifications": [one.to_dict() for one in self.classifications],
            "model": self.model.to_dict(),
            "request_id": self.request_id,
            "timing_ms": dict(self.timing_ms),
        }

    @classmethod
    def from_dict(cls, content: Json) -> ClassificationResult:
        """Read what ``to_dict`` gave; raises ValueError for anything else."""
        try:
            return cls._from_parts(content, content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no dict of a {cls.__name__}: {error!r}") from error

    @classmethod
    def from_answer(cls, answer: Json) -> ClassificationResult:
        """Read the service's answer on one image."""
        (image,) = answer["results"]
        return cls._from_parts(image, answer)

    @classmethod
    def _from_parts(cls, image: Json, answer: Json) -> ClassificationResult:
        return cls(
            width=image["width"],
            height=image["height"],
            classifications=tuple(map(Classification.from_dict, image["classifications"])),
            model=ModelReference.from_dict(answer["model"]),
            request_id=answer["request_id"],
            timing_ms=answer["timing_ms"],
        )


@dataclass(frozen=True)
class ModelInfo:
    """A model that the service holds.

    task: "detection" or "classification"; "" where the package is damaged, and has no labels.
    manifest: all that the service says of it.
    """

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    manifest: Json

    @classmethod
    def from_json(cls, model: Json) -> ModelInfo:
        labels = tuple(label["name"] for label in model.get("labels", ()))
        return cls(model["name"], model["version"], model.get("task", ""), labels, model)
