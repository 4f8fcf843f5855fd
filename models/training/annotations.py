"""What a data set says of its photos, read from COCO, PASCAL VOC or folders of classes.

A reader checks every row and leaves out those that are wrong; each is listed as a `Fault`. Whether
the photos themselves can be used, which takes longer, is for `models.training.check` to say.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from xml.etree import ElementTree

import torch
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
    "no image",
    "damaged photo",
    "wrong size",
]

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
# Public data sets have boxes that stick out of their photos by a rounding; these are clipped.
OVERHANG = 1.0  # pixels
THINNEST = 0.01  # pixels; of a thinner box float32 may leave nothing
LARGEST = 1e9  # no coordinate is; NaN, infinity and larger whole numbers than a float holds fail


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
    """What a reader found: the rows that are good, and what is wrong with the others."""

    annotations: Content
    faults: tuple[Fault, ...]


@dataclass(frozen=True, eq=False)  # tensors have no equality that is true or false
class Photo:
    """A photo with boxes float32 [G, 4] xyxy in its pixels, and labels int64 [G].

    A label is a place in the categories, not an id.
    """

    image_id: int
    path: Path
    width: int
    height: int
    boxes: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Annotations:
    """Photos with boxes, and their categories in the order of a network's outputs."""

    photos: tuple[Photo, ...]
    categories: Categories

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO instances file, as pycocotools takes it."""
        images: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for photo in self.photos:
            images.append(
                {
                    "id": photo.image_id,
                    "file_name": photo.path.name,
                    "width": photo.width,
                    "height": photo.height,
                }
            )
            for (left, top, right, bottom), label in zip(
                photo.boxes.tolist(), photo.labels.tolist(), strict=True
            ):
                rows.append(
                    {
                        "id": len(rows) + 1,  # pycocotools takes 0 for "matched with nothing"
                        "image_id": photo.image_id,
                        "category_id": self.categories[label][0],
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "iscrowd": 0,
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


def read_coco(
    annotations: Path, images: Path, categories: Categories | None = None
) -> Reading[Annotations]:
    """Read a COCO instances file, whose file names lie in the folder ``images``.

    Categories are sorted by id. ``categories`` are those that the file must have: the training
    photos', where these are the validation's. Crowds (``iscrowd``) are left out, which is no fault.
    Raises DataError.
    """
    content = _read_json(annotations)
    found = _coco_categories(annotations, content["categories"])
    if categories is not None and found != categories:
        raise DataError(
            f"{annotations}: its categories ({_names(found)}) are not the expected ones"
            f" ({_names(categories)})"
        )
    _require_folder(images)
    faults: list[Fault] = []
    rows = _coco_images(annotations, content["images"], faults)
    boxes = _coco_boxes(annotations, content, faults)
    labels = {number: label for label, (number, _) in enumerate(found)}
    photos = [
        _photo(number, images / name, width, height, boxes.get(number, ()), labels, faults)
        for number, name, width, height in rows
    ]
    return Reading(Annotations(tuple(photos), found), tuple(faults))


def read_voc(
    folder: Path,
    split: str,
    keep_difficult: bool = True,
    categories: Categories | None = None,
) -> Reading[Annotations]:
    """Read the photos that ImageSets/Main/<split>.txt lists, in the layout of PASCAL VOC.

    Categories are all names in the split, sorted, with ids from 1; or ``categories``, beside which
    there are no others: the training photos', where these are the validation's. An image's id is
    made of its name, so that it is the same in each split. ``keep_difficult`` keeps the objects
    that the annotators marked as hard to recognise. Raises DataError.
    """
    names = _read_split(folder, split)
    _require_folder(folder / "Annotations")
    _require_folder(folder / "JPEGImages")
    files = {p.stem: p for p in sorted((folder / "JPEGImages").iterdir()) if _is_photo(p)}
    faults = [
        Fault(f"{split}.txt: {name}", "duplicate image", f"is listed {number} times")
        for name, number in Counter(names).items()
        if number > 1
    ]
    found = list(_voc_files(folder / "Annotations", dict.fromkeys(names), faults))
    if categories is None:
        classes = sorted({str(row.category) for file in found for row in file.rows})
        categories = tuple(enumerate(classes, start=1))
    labels = {name: label for label, (_, name) in enumerate(categories)}
    photos = []
    for file in found:
        path = files.get(file.name, folder / "JPEGImages" / f"{file.name}.jpg")
        rows = [row for row in file.rows if keep_difficult or not row.difficult]
        number = _stable_id(file.name)
        photos.append(_photo(number, path, file.width, file.height, rows, labels, faults))
    return Reading(Annotations(tuple(photos), categories), tuple(faults))


def read_class_folders(folder: Path, categories: Categories | None = None) -> Reading[ClassFolders]:
    """Read a folder of one sub-folder a class, each with its photos at any depth.

    Categories are the sub-folders' names, sorted, with ids from 0; or ``categories``, beside which
    there are no others: the training photos', where these are the validation's. What is hidden
    (its name starts with a dot) is passed over. Raises DataError.
    """
    _require_folder(folder)
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        raise DataError(f"{folder}: holds no folder of a class")
    if categories is None:
        categories = tuple(enumerate(classes))
    known = [name for _, name in categories]
    faults = [
        Fault(str(folder / name), "unknown class", f"is none of {_names(categories)}")
        for name in classes
        if name not in known
    ]
    photos: list[LabelledPhoto] = []
    for label, name in enumerate(known):
        paths = list(_visible_files(folder / name))
        photos += [LabelledPhoto(path, label) for path in paths if _is_photo(path)]
        faults += [
            Fault(str(path), "no image", f"has no suffix of a photo ({_suffixes()})")
            for path in paths
            if not _is_photo(path)
        ]
        if not any(_is_photo(path) for path in paths):
            faults.append(Fault(str(folder / name), "empty class", "holds no photo"))
    return Reading(ClassFolders(tuple(photos), categories), tuple(faults))


@dataclass(frozen=True)
class _Row:
    """A box as its file has it, and its class by the id or name that the file uses."""

    where: str
    category: int | str
    corners: Corners
    difficult: bool = False


class _BadRow(Exception):
    """A row that cannot be read; the message says why."""


def _photo(
    image_id: int,
    path: Path,
    width: int,
    height: int,
    rows: Iterable[_Row],
    known: dict[Any, int],
    faults: list[Fault],
) -> Photo:
    """A photo with those of ``rows`` that are right; ``known`` has the label of each category."""
    boxes, labels = [], []
    for row in rows:
        left, top, right, bottom = row.corners
        clipped = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
        fault = _fault_of(row, clipped, width, height, known)
        if fault is None:
            boxes.append(clipped)
            labels.append(known[row.category])
        else:
            faults.append(fault)
    return Photo(
        image_id,
        path,
        width,
        height,
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
    )


def _fault_of(
    row: _Row, clipped: Corners, width: int, height: int, known: dict[Any, int]
) -> Fault | None:
    left, top, right, bottom = row.corners
    if row.category not in known:
        return Fault(row.where, "unknown class", f"class {row.category} is not in the categories")
    if min(right - left, bottom - top) < THINNEST:
        size = f"{right - left:g} x {bottom - top:g} pixels"
        return Fault(row.where, "empty box", f"its box is {size}")
    overhang = max(-left, -top, right - width, bottom - height)
    rest = min(clipped[2] - clipped[0], clipped[3] - clipped[1])
    if overhang > OVERHANG or rest < THINNEST:
        message = (
            f"its box {_numbers(row.corners)} (left, top, right, bottom) is not within the photo's"
            f" {width} x {height} pixels"
        )
        return Fault(row.where, "box outside", message)
    return None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST


def _whole(value: Any) -> int | None:
    """``value`` as a whole number, which some tools write as 640.0; None if it is none."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _names(categories: Categories) -> str:
    """The first few, which suffice to recognise a list."""
    names = [name for _, name in categories]
    return ", ".join(names[:5]) + (f" … ({len(names)})" if len(names) > 5 else "")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows' tools put a mark in front
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8") from error


def _read_json(path: Path) -> dict[str, list[Any]]:
    """A COCO file's content, of which the three lists are there."""
    text = _read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: is not a COCO instances file, which is a JSON object")
    for key in ("images", "annotations", "categories"):
        if key not in content:
            raise DataError(f"{path}: has no key '{key}'")
        if not isinstance(content[key], list):
            raise DataError(f"{path}: '{key}' is not a list")
    for key in ("images", "categories"):
        if not content[key]:
            raise DataError(f"{path}: '{key}' is empty")
    return content


def _coco_categories(file: Path, rows: list[Any]) -> Categories:
    """Of these each must be right: a network's outputs depend on their number and order."""
    categories = []
    for position, row in enumerate(rows):
        try:
            categories.append((_get_whole(row, "id"), _get_text(row, "name")))
        except _BadRow as error:
            raise DataError(f"{file}: categories[{position}] {error}") from error
    for number, times in Counter(number for number, _ in categories).items():
        if times > 1:
            raise DataError(f"{file}: {times} categories have the id {number}")
    return tuple(sorted(categories))


def _coco_images(
    file: Path, rows: list[Any], faults: list[Fault]
) -> list[tuple[int, str, int, int]]:
    """(id, file name, width, height) of each image that is right."""
    images = []
    for position, row in enumerate(rows):
        try:
            number, name = _get_whole(row, "id"), _get_text(row, "file_name")
            width, height = _get_whole(row, "width"), _get_whole(row, "height")
            if width <= 0 or height <= 0:
                raise _BadRow(f"is said to have {width} x {height} pixels")
        except _BadRow as error:
            faults.append(Fault(_place(file, "images", position, row), "bad row", str(error)))
        else:
            images.append((number, name, width, height))
    # An id that several have does not say whose boxes are whose: none of them is kept.
    times = Counter(number for number, *_ in images)
    for number, name, *_ in images:
        if times[number] > 1:
            message = f"{times[number]} images have this id, {name} among them; none is kept"
            faults.append(Fault(f"{file.name}: image {number}", "duplicate image", message))
    return [image for image in images if times[image[0]] == 1]


def _coco_boxes(
    file: Path, content: dict[str, list[Any]], faults: list[Fault]
) -> dict[int, list[_Row]]:
    """The boxes that can be read, by their image's id."""
    # The ids of images that are left out count as known: their own fault has been listed.
    known = {_whole(row.get("id")) for row in content["images"] if isinstance(row, dict)}
    boxes: dict[int, list[_Row]] = {}
    for position, row in enumerate(content["annotations"]):
        where = _place(file, "annotations", position, row)
        try:
            if isinstance(row, dict) and row.get("iscrowd"):
                continue
            number, category = _get_whole(row, "image_id"), _get_whole(row, "category_id")
            box = _get(row, "bbox")
        except _BadRow as error:
            faults.append(Fault(where, "bad row", str(error)))
            continue
        if number not in known:
            faults.append(Fault(where, "unknown image", f"image {number} is not in the images"))
        elif not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            faults.append(Fault(where, "bad box", f"its bbox {_shown(box)} is not four numbers"))
        else:
            x, y, width, height = box
            corners = (x, y, x + width, y + height)
            boxes.setdefault(number, []).append(_Row(where, category, corners))
    return boxes


def _place(file: Path, key: str, position: int, row: Any) -> str:
    """Where ``row`` stands: by its id, which can be searched for, if it has one."""
    number = _whole(row.get("id")) if isinstance(row, dict) else None
    place = f"{key}[{position}]" if number is None else f"{key.removesuffix('s')} {number}"
    return f"{file.name}: {place}"


def _get(row: Any, key: str) -> Any:
    if not isinstance(row, dict):
        raise _BadRow("is not a JSON object")
    if key not in row:
        raise _BadRow(f"has no key '{key}'")
    return row[key]


def _get_whole(row: Any, key: str) -> int:
    value = _get(row, key)
    number = _whole(value)
    if number is None:
        raise _BadRow(f"its '{key}' {_shown(value)} is not a whole number")
    return number


def _get_text(row: Any, key: str) -> str:
    value = _get(row, key)
    if not isinstance(value, str):
        raise _BadRow(f"its '{key}' {_shown(value)} is not a text")
    return value


def _shown(value: Any) -> str:
    """``value`` within a message of one line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@dataclass(frozen=True)
class _VocFile:
    name: str
    width: int
    height: int
    rows: list[_Row]


def _read_split(folder: Path, split: str) -> list[str]:
    lists = folder / "ImageSets" / "Main"
    path = lists / f"{split}.txt"
    if lists.is_dir() and not path.exists():
        others = ", ".join(sorted(p.stem for p in lists.glob("*.txt"))) or "none"
        raise DataError(f"{path}: no such split; there are: {others}")
    names = [line.strip() for line in _read_text(path).splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path}: lists no photo")
    return names


def _voc_files(folder: Path, names: Iterable[str], faults: list[Fault]) -> Iterator[_VocFile]:
    """Each photo's own file, read; a file that cannot be is a fault of that photo alone."""
    for name in names:
        path = folder / f"{name}.xml"
        try:
            root = _voc_root(path)
            width, height = (_voc_number(root, f"size/{side}") for side in ("width", "height"))
            if not (width.is_integer() and height.is_integer() and min(width, height) > 0):
                raise _BadRow(f"is said to have {width:g} x {height:g} pixels")
        except _BadRow as error:
            faults.append(Fault(path.name, "bad annotations", str(error)))
        else:
            rows = list(_voc_rows(path.name, root, faults))
            yield _VocFile(name, int(width), int(height), rows)


def _voc_root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except OSError as error:
        raise _BadRow(f"cannot be read: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # or an unknown encoding
        raise _BadRow(f"is not XML ({error})") from error


def _voc_rows(file: str, root: ElementTree.Element, faults: list[Fault]) -> Iterator[_Row]:
    for position, item in enumerate(root.findall("object"), start=1):
        where = f"{file}: object {position}"
        try:
            name = (item.findtext("name") or "").strip()
            if not name:
                raise _BadRow("has no <name>")
            left, top, right, bottom = (
                _voc_number(item, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
            )
        except _BadRow as error:
            faults.append(Fault(where, "bad box" if name else "bad row", str(error)))
        else:
            # VOC counts pixels from 1, and a box's last pixel belongs to it
            corners = (left - 1, top - 1, right, bottom)
            difficult = (item.findtext("difficult") or "").strip() == "1"
            yield _Row(where, name, corners, difficult)


def _voc_number(element: ElementTree.Element, tag: str) -> float:
    text = element.findtext(tag)
    if text is None:
        raise _BadRow(f"has no <{tag}>")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not _is_number(value):
        raise _BadRow(f"its <{tag}> {_shown(text)} is not a number")
    return value


def _stable_id(name: str) -> int:
    """A number that only ``name`` decides, of 48 bits so that every reader of JSON keeps it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES


def _suffixes() -> str:
    return ", ".join(sorted(PHOTO_SUFFIXES))


def _visible_files(folder: Path) -> Iterator[Path]:
    """Files below ``folder`` in a fixed order, without those that systems leave there."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and not path.is_dir():  # a link to nowhere is a photo that is missing
            yield path
