"""What a data set says of its photos, whatever its files look like."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import Tensor

Categories = tuple[tuple[int, str], ...]  # (id, name) in the order of a network's outputs
Corners = tuple[float, float, float, float]  # left, top, right, bottom in pixels
Outline = tuple[NDArray[np.float32], ...]  # polygons [P, 2] of x, y in pixels
Content = TypeVar("Content", "Annotations", "ClassFolders")

Kind = Literal[
    "bad annotations",  # a photo's own file of them
    "bad row",
    "bad category",
    "duplicate category",
    "duplicate image",
    "unknown image",
    "unknown class",
    "bad box",
    "empty box",
    "box outside",
    "empty class",
    "missing photo",
    "unreadable photo",
    "wrong size",
    "stored size",
]


class DataError(Exception):
    """A data set that cannot be read at all; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set, and is left out of it.

    where: the file, and the row within it. kind: the same for all faults alike.
    """

    where: str
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class Reading(Generic[Content]):
    """What a reader found: the rows that are good, and what is wrong with the others.

    notes: sentences on what is no fault but may surprise, such as files that were passed over.
    """

    annotations: Content
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Object:
    """One object of a photo, as its file has it.

    label: its place in the categories, which is not its id.
    box: may reach beyond the photo by a rounding, or further where the reader was told to keep it.
    outline: where its file has polygons. area: in pixels, where its file states one.
    ignored: not learned, and neither to be found nor wrong to find: COCO's crowds, what PASCAL
        VOC calls difficult, and what a teacher is unsure of.
    score: how sure it is, above 0 to 1: below 1 by a teacher's judgement alone.
    """

    label: int
    box: Corners
    outline: Outline | None = None
    area: float | None = None
    ignored: bool = False
    score: float = 1.0


@dataclass(frozen=True, eq=False)  # outlines have no equality that is true or false
class Photo:
    """A photo of ``width`` x ``height`` pixels, upright, with its objects."""

    image_id: int
    path: Path
    width: int
    height: int
    objects: tuple[Object, ...] = ()

    @property
    def learned(self) -> tuple[Object, ...]:
        """The objects that are not ignored."""
        return tuple(thing for thing in self.objects if not thing.ignored)

    @property
    def boxes(self) -> Tensor:
        """float32 [G, 4] xyxy of the objects, within the photo."""
        boxes = [self.clip(thing.box) for thing in self.objects]
        return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)

    @property
    def targets(self) -> Tensor:
        """float32 [G, 2] of the objects: the label, and the score, 0 of those that are ignored."""
        rows = [(thing.label, 0 if thing.ignored else thing.score) for thing in self.objects]
        return torch.tensor(rows, dtype=torch.float32).reshape(-1, 2)

    def clip(self, box: Corners) -> Corners:
        """What of ``box`` lies within the photo; turned inside out if nothing does."""
        left, top, right, bottom = box
        return max(left, 0.0), max(top, 0.0), min(right, self.width), min(bottom, self.height)


@dataclass(frozen=True)
class Annotations:
    """Photos with objects, and their categories in the order of a network's outputs."""

    photos: tuple[Photo, ...]
    categories: Categories

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO instances file, as pycocotools takes it: boxes as their files have
        them, and what is ignored as crowds."""
        images = [
            {"id": p.image_id, "file_name": p.path.name, "width": p.width, "height": p.height}
            for p in self.photos
        ]
        rows: list[dict[str, Any]] = []
        for photo in self.photos:
            for thing in photo.objects:
                left, top, right, bottom = thing.box
                box_area = (right - left) * (bottom - top)
                row = {
                    "id": len(rows) + 1,  # pycocotools takes 0 for "matched with nothing"
                    "image_id": photo.image_id,
                    "category_id": self.categories[thing.label][0],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": box_area if thing.area is None else thing.area,
                    "iscrowd": int(thing.ignored),
                }
                if thing.outline is not None:
                    row["segmentation"] = [polygon.ravel().tolist() for polygon in thing.outline]
                rows.append(row)
        categories = [{"id": number, "name": name} for number, name in self.categories]
        return {"images": images, "annotations": rows, "categories": categories}

    def used(self) -> set[int]:
        """The labels that objects have."""
        return {thing.label for photo in self.photos for thing in photo.objects}

    def without(self, labels: set[int]) -> "Annotations":
        """Without these categories, of which there is no object."""
        new = new_labels(self.categories, labels)
        photos = tuple(
            replace(photo, objects=tuple(_relabelled(thing, new) for thing in photo.objects))
            for photo in self.photos
        )
        return Annotations(photos, tuple(self.categories[label] for label in new))

    def __str__(self) -> str:
        objects = sum(len(photo.learned) for photo in self.photos)
        return f"{len(self.photos)} photos with {objects} boxes of {len(self.categories)} classes"


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo that shows one class; ``label`` is its place in the categories."""

    path: Path
    label: int


@dataclass(frozen=True)
class ClassFolders:
    """Photos of one class each, and the classes in the order of a network's outputs."""

    photos: tuple[LabelledPhoto, ...]
    categories: Categories

    def used(self) -> set[int]:
        """The labels that photos have."""
        return {photo.label for photo in self.photos}

    def without(self, labels: set[int]) -> "ClassFolders":
        """Without these classes, of which there is no photo."""
        new = new_labels(self.categories, labels)
        photos = tuple(LabelledPhoto(photo.path, new[photo.label]) for photo in self.photos)
        return ClassFolders(photos, tuple(self.categories[label] for label in new))

    def __str__(self) -> str:
        return f"{len(self.photos)} photos of {len(self.categories)} classes"


def new_labels(categories: Categories, dropped: set[int]) -> dict[int, int]:
    """The label that each category has once those with the labels ``dropped`` are gone."""
    kept = [label for label in range(len(categories)) if label not in dropped]
    return {label: place for place, label in enumerate(kept)}


def _relabelled(thing: Object, labels: dict[int, int]) -> Object:
    return replace(thing, label=labels[thing.label])


def read_text(path: Path) -> str:
    """A file of a data set, in UTF-8; raises DataError."""
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows' tools put a mark in front
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file of a data set; raises DataError."""
    text = read_text(path)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # Python's own reader takes NaN, and names the line
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: is not JSON ({error})") from error


def require_folder(path: Path) -> None:
    """Raise DataError if ``path`` is no folder."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")


def first_names(categories: Categories) -> str:
    """The first few, which suffice to recognise a list."""
    names = [name for _, name in categories]
    return ", ".join(names[:5]) + (f" … ({len(names)})" if len(names) > 5 else "")
