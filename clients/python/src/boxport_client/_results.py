"""The service's answers, as frozen typed values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from boxport_client._boxes import polygon_area
from boxport_client._classifications import Classification, Region, read_classes
from boxport_client._crops import crop, rgb_picture
from boxport_client._detections import Detection
from boxport_client._drawing import draw_detections
from boxport_client._errors import MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv
    from PIL import Image

    from boxport_client._photos import Photo

Json = Mapping[str, Any]
R = TypeVar("R", bound="_Result")
MAX_SHOWN_CLASSES = 3


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


class _Result(ABC):
    """What both kinds of result share: how they are read, and how they are written."""

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values for JSON, boxes as lists; `from_dict` reads it."""
        left_out = self._left_out()
        return {name: _plain(v) for name, v in vars(self).items() if name not in left_out}

    @abstractmethod
    def _left_out(self) -> set[str]:
        """The fields that the service's JSON does not have, as the request did not ask for them."""

    @classmethod
    def from_dict(cls: type[R], content: Json) -> R:
        """Read what `to_dict` gave; raises ValueError for anything else."""
        try:
            return cls._read(content, content)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is not the dict of a {cls.__name__}: {error!r}") from error

    @classmethod
    def from_answer(cls: type[R], answer: Json) -> R:
        """Read the service's answer on one image."""
        (image,) = answer["results"]
        return cls._read(image, answer)

    @classmethod
    @abstractmethod
    def _read(cls: type[R], image: Json, answer: Json) -> R:
        """Read the image's own part of an answer, and what is said once for all its images."""


@dataclass(frozen=True, repr=False)
class DetectionResult(_Result):
    """The objects in one photo, best first; iterates over them.

    width, height: of the upright photo, in pixels.
    timing_ms: milliseconds that the service spent on decoding, queueing, inference and in total.
    then: the classifier of the detections, if one was asked for.
    novelty: 0..1, the share of the model's training photos that are more usual than this one; None
        if it was not asked for, or is not known.
    """

    width: int
    height: int
    detections: tuple[Detection, ...]
    model: ModelReference
    request_id: str
    timing_ms: Mapping[str, float]
    then: ModelReference | None = None
    novelty: float | None = None

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
        """Each label that was found, once, the one with the best score first."""
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
        """A copy of ``photo``, upright and in RGB, with the boxes drawn on it, the best on top, and
        the outlines of those that have any.

        alpha: 0..1; the opacity with which an outline, or else a box, is filled with its label's
            colour.
        labels: whether labels and scores are written at the boxes.
        line_width: of the frames, in pixels; fits the photo's size if not given.

        Raises PhotoError if the photo cannot be read, and ValueError if it is not of the result's
        size or a parameter is out of its range.
        """
        picture = rgb_picture(photo, expected_size=(self.width, self.height))
        return draw_detections(picture, self.detections, alpha, labels, line_width)

    def crop(self, photo: Photo, margin: float = 0.0) -> list[Image.Image]:
        """The part of ``photo`` inside each box, in the order of the detections.

        Parameter and errors are those of Detection.crop; also raises ValueError if the photo is
        not of the result's size.
        """
        picture = rgb_picture(photo, expected_size=(self.width, self.height))
        return [crop(picture, detection.box, margin) for detection in self.detections]

    def to_coco(self, image_id: int, first_annotation_id: int = 1) -> list[dict[str, Any]]:
        """The detections as COCO annotations with scores, numbered from ``first_annotation_id``.

        One with a contour has it as its ``segmentation``, and the area of that. They serve as a
        file's annotations (Lin et al. 2014) and, for pycocotools' loadRes, as
        results. `boxport_client.coco_dataset` makes the file of a whole data set.
        """
        return [
            {
                "id": number,
                "image_id": image_id,
                "category_id": detection.label_id,
                "bbox": list(detection.box.xywh),
                "area": detection.box.area,
                "iscrowd": 0,
                "score": detection.score,
                **_segmentation(detection),
            }
            for number, detection in enumerate(self.detections, start=first_annotation_id)
        ]

    def to_pandas(self) -> pd.DataFrame:
        """A row per detection: label, label_id, score, left, top, right, bottom; the columns have
        their types even if there is none. Raises MissingExtra without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("to_pandas needs pandas: pip install pandas") from error
        rows = [(d.label, d.label_id, d.score, *d.box) for d in self.detections]
        columns = ("label", "label_id", "score", "left", "top", "right", "bottom")
        numbers = dict.fromkeys(columns[2:], "float64")
        frame = pd.DataFrame.from_records(rows, columns=list(columns))
        return frame.astype({"label": "str", "label_id": "int64", **numbers})

    def to_supervision(self) -> sv.Detections:
        """The detections for Roboflow's supervision: xyxy float32 [N, 4], confidence float32 [N],
        class_id int [N], labels as data["class_name"]. Raises MissingExtra without supervision."""
        try:
            import numpy as np
            import supervision as sv
        except ImportError as error:
            words = "to_supervision needs supervision: pip install supervision"
            raise MissingExtra(words) from error
        found = self.detections
        return sv.Detections(
            xyxy=np.array([d.box for d in found], dtype=np.float32).reshape(-1, 4),
            confidence=np.array([d.score for d in found], dtype=np.float32),
            class_id=np.array([d.label_id for d in found], dtype=int),
            data={"class_name": np.array([d.label for d in found], dtype=str)},
        )

    @classmethod
    def _read(cls, image: Json, answer: Json) -> DetectionResult:
        found = tuple(map(Detection.from_dict, image["detections"]))
        then = ModelReference.from_dict(answer["then"]) if "then" in answer else None
        width, height = image["width"], image["height"]
        novelty = image.get("novelty")
        return cls(width, height, found, *_said_once(answer), then=then, novelty=novelty)

    def _left_out(self) -> set[str]:
        return {name for name in ("then", "novelty") if getattr(self, name) is None}


@dataclass(frozen=True, repr=False)
class ClassificationResult(_Result):
    """What one photo shows, best first; iterates over the classes.

    width, height: of the upright photo, in pixels.
    timing_ms: milliseconds that the service spent on decoding, queueing, inference and in total.
    regions: what each region shows, in the order that they were given in; if there are any, they
        were classified in place of the whole, and there are no classes of that.
    novelty: as `DetectionResult` has it.
    """

    width: int
    height: int
    classifications: tuple[Classification, ...]
    model: ModelReference
    request_id: str
    timing_ms: Mapping[str, float]
    regions: tuple[Region, ...] = ()
    novelty: float | None = None

    def __iter__(self) -> Iterator[Classification]:
        return iter(self.classifications)

    def __len__(self) -> int:
        return len(self.classifications)

    def __repr__(self) -> str:
        best = self.classifications or [region.best for region in self.regions]
        shown = ", ".join(f"{one.label} {one.score:.2f}" for one in best[:MAX_SHOWN_CLASSES])
        more = ", ..." if len(best) > MAX_SHOWN_CLASSES else ""
        return f"<ClassificationResult {self.width} x {self.height}: {shown}{more}; {self.model}>"

    @property
    def best(self) -> Classification:
        """The class with the highest score."""
        return self.classifications[0]

    def draw(
        self, photo: Photo, *, labels: bool = True, line_width: int | None = None
    ) -> Image.Image:
        """A copy of ``photo``, upright and in RGB, with each region drawn on it, and what it shows.

        Parameters and errors are those of `DetectionResult.draw`.
        """
        picture = rgb_picture(photo, expected_size=(self.width, self.height))
        drawn = [
            Detection(one.box, one.best.score, one.best.label, one.best.label_id)
            for one in self.regions
        ]
        return draw_detections(picture, drawn, 0.0, labels, line_width)

    @classmethod
    def _read(cls, image: Json, answer: Json) -> ClassificationResult:
        regions = tuple(map(Region.from_dict, image.get("regions", ())))
        found = () if regions else read_classes(image["classifications"])
        width, height = image["width"], image["height"]
        novelty = image.get("novelty")
        return cls(width, height, found, *_said_once(answer), regions=regions, novelty=novelty)

    def _left_out(self) -> set[str]:
        rows = "classifications" if self.regions else "regions"
        return {rows} if self.novelty is not None else {rows, "novelty"}


def _segmentation(detection: Detection) -> dict[str, Any]:
    if detection.contour is None:
        return {}
    numbers = [number for vertex in detection.contour for number in vertex]
    return {"segmentation": [numbers], "area": polygon_area(detection.contour)}


def _said_once(answer: Json) -> tuple[ModelReference, str, Mapping[str, float]]:
    """What an answer says once for all of its images."""
    return ModelReference.from_dict(answer["model"]), answer["request_id"], answer["timing_ms"]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [one.to_dict() for one in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value.to_dict() if isinstance(value, ModelReference) else value
