"""What a data set says of its photos, whatever its files look like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from torch import Tensor

Categories = tuple[tuple[int, str], ...]  # (id, name) in the order of a network's outputs
Corners = tuple[float, float, float, float]  # left, top, right, bottom in pixels
Content = TypeVar("Content")

Kind = Literal[
    "bad annotations",  # a photo's own file of them
    "bad row",
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

    note: what files of a folder were passed over, None if there are no such.
    """

    annotations: Content
    faults: tuple[Fault, ...]
    note: str | None = None


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Photo:
    """A photo with boxes float32 [G, 4] xyxy in its pixels, and labels int64 [G].

    A label is a place in the categories, not an id. ``ignored``: boxes with their labels that are
    not learned, and are neither to be found nor wrong to find: COCO's crowds and what PASCAL VOC
    calls difficult.
    """

    image_id: int
    path: Path
    width: int
    height: int
    boxes: Tensor
    labels: Tensor
    ignored: tuple[tuple[Corners, int], ...] = ()


@dataclass(frozen=True)
class Annotations:
    """Photos with boxes, and their categories in the order of a network's outputs."""

    photos: tuple[Photo, ...]
    categories: Categories

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO instances file, as pycocotools takes it."""
        images = [
            {"id": p.image_id, "file_name": p.path.name, "width": p.width, "height": p.height}
            for p in self.photos
        ]
        rows: list[dict[str, Any]] = []
        for photo in self.photos:
            objects = zip(photo.boxes.tolist(), photo.labels.tolist(), strict=True)
            for is_crowd, found in ((0, objects), (1, photo.ignored)):
                for (left, top, right, bottom), label in found:
                    rows.append(
                        {
                            "id": len(rows) + 1,  # pycocotools takes 0 for "matched with nothing"
                            "image_id": photo.image_id,
                            "category_id": self.categories[label][0],
                            "bbox": [left, top, right - left, bottom - top],
                            "area": (right - left) * (bottom - top),
                            "iscrowd": is_crowd,
                        }
                    )
        categories = [{"id": number, "name": name} for number, name in self.categories]
        return {"images": images, "annotations": rows, "categories": categories}


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


def read_text(path: Path) -> str:
    """A file of a data set, in UTF-8; raises DataError."""
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows' tools put a mark in front
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8") from error


def require_folder(path: Path) -> None:
    """Raise DataError if ``path`` is no folder."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")


def first_names(categories: Categories) -> str:
    """The first few, which suffice to recognise a list."""
    names = [name for _, name in categories]
    return ", ".join(names[:5]) + (f" … ({len(names)})" if len(names) > 5 else "")
