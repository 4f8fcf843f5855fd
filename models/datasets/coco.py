"""COCO: one JSON file with the lists of images, annotations and categories."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask

from models.datasets.categories import match_categories
from models.datasets.content import (
    Annotations,
    Categories,
    DataError,
    Fault,
    Outline,
    Reading,
    read_json,
    require_folder,
)
from models.datasets.files import PhotoFinder, Size, read_sizes
from models.datasets.rows import BadRow, Outside, Row, RowCheck, enclose, is_number, shown, whole
from models.evaluation import is_crowd

# What some tools write as texts, and what is read as numbers then.
NUMBERS = ("id", "image_id", "category_id", "iscrowd", "area")


def read_coco(
    file: Path,
    images: Path | None = None,
    categories: Categories | None = None,
    outside: Outside = "refuse",
) -> Reading[Annotations]:
    """Read a COCO instances file, whose photos lie in the folder ``images``; if that is None, in
    one of `photo_folders`.

    Categories are sorted by id. ``categories`` are those that its objects' must be among: the
    training photos', where these are the validation's. Crowds are ignored objects; one without a
    box or an outline is left out, which is no fault. Raises DataError.
    """
    content = _read_json(file)
    if images is not None:
        require_folder(images)
    faults: list[Fault] = []
    objects = Counter(
        whole(row.get("category_id")) for row in content["annotations"] if isinstance(row, dict)
    )
    found, same = _categories(file, content["categories"], objects, faults)
    labels = match_categories(file, found, objects, categories)
    categories = categories or found
    labels |= {number: labels[other] for number, other in same.items() if other in labels}
    check = RowCheck(labels, outside, faults)
    finder = PhotoFinder([images] if images is not None else photo_folders(file))
    rows = _images(file, content["images"], finder, faults)
    boxes = _boxes(file, content, faults)
    photos = [check.photo(number, path, size, boxes.get(number, ())) for number, path, size in rows]
    return Reading(Annotations(tuple(photos), categories), tuple(faults), _notes(file, content))


def split_of(file: Path) -> str:
    """What a COCO file calls its split: of instances_train2017.json train2017, of Roboflow's
    valid/_annotations.coco.json valid."""
    if file.name.startswith("_annotations"):
        return file.parent.name
    return file.stem.removeprefix("instances_")


def photo_folders(file: Path) -> Sequence[Path]:
    """Where the photos of a COCO file may be, the likeliest first: in a folder of its split's name,
    as COCO, CVAT and docs/training.md have it; in images/, as Label Studio has it; or beside it."""
    split = split_of(file)
    above = file.parent.parent if file.parent.name == "annotations" else file.parent
    return (above / split, above / "images" / split, above / "images", file.parent, above)


def _read_json(path: Path) -> dict[str, list[Any]]:
    """A COCO file's content, of which the three lists are there."""
    content = read_json(path)
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


def _categories(
    file: Path, rows: list[Any], objects: Counter[int | None], faults: list[Fault]
) -> tuple[Categories, dict[int, int]]:
    """The categories, which a network's outputs depend on; and of each id that is left out because
    another has its name, that other: the one with more of the ``objects``."""
    named: dict[int, str] = {}
    for position, row in enumerate(rows):
        try:
            number, name = _get_whole(row, "id"), _get_text(row, "name").strip()
        except BadRow as error:
            raise DataError(f"{file}: categories[{position}] {error}") from error
        if number in named:
            raise DataError(f"{file}: several categories have the id {number}")
        named[number] = name
    same: dict[int, int] = {}
    for number, name in named.items():
        where = f"{file.name}: category {number}"
        if not name:
            message = f"has no name, and {objects[number]} objects"
            faults.append(Fault(where, "bad category", message))
            continue
        alike = [other for other in sorted(named) if named[other] == name]
        kept = max(alike, key=lambda other: objects[other])
        if number != kept:
            same[number] = kept
            message = f"is called {name!r} as category {kept} is; its objects are taken for those"
            faults.append(Fault(where, "duplicate category", message))
    kept_ones = [
        (number, name) for number, name in sorted(named.items()) if name and number not in same
    ]
    if not kept_ones:
        raise DataError(f"{file}: no category has a name")
    return tuple(kept_ones), same


def _images(
    file: Path, rows: list[Any], finder: PhotoFinder, faults: list[Fault]
) -> list[tuple[int, Path, Size]]:
    """(id, photo, size) of each image that is right."""
    images: list[tuple[int, str, Size | None]] = []
    for position, row in enumerate(rows):
        try:
            number, name = _get_whole(row, "id"), _get_text(row, "file_name")
            images.append((number, name, _size(row)))
        except BadRow as error:
            faults.append(Fault(_place(file, "images", position, row), "bad row", str(error)))
    # An id that several have does not say whose boxes are whose: none of them is kept.
    times = Counter(number for number, *_ in images)
    for number, name, _ in images:
        if times[number] > 1:
            message = f"{times[number]} images have this id, {name} among them; none is kept"
            faults.append(Fault(f"{file.name}: image {number}", "duplicate image", message))
    found = [(n, finder.find(name), size) for n, name, size in images if times[n] == 1]
    measured = dict(read_sizes([path for _, path, size in found if size is None], faults))
    sized = [(number, path, size or measured[path]) for number, path, size in found]
    return [(number, path, size) for number, path, size in sized if size is not None]


def _size(row: dict[str, Any]) -> Size | None:
    """The stated width and height; None where neither is, which the photo itself then says."""
    if row.get("width") is None and row.get("height") is None:
        return None
    width, height = _get_whole(row, "width"), _get_whole(row, "height")
    if width <= 0 or height <= 0:
        raise BadRow(f"is said to have {width} x {height} pixels")
    return width, height


def _boxes(file: Path, content: dict[str, list[Any]], faults: list[Fault]) -> dict[int, list[Row]]:
    """The objects that can be read, by their image's id."""
    # The ids of images that are left out count as known: their own fault has been listed.
    known = {whole(row.get("id")) for row in content["images"] if isinstance(row, dict)}
    boxes: dict[int, list[Row]] = {}
    for position, row in enumerate(content["annotations"]):
        where = _place(file, "annotations", position, row)
        ignored = isinstance(row, dict) and is_crowd(row)
        found = _box(where, row, known, ignored)
        if not isinstance(found, Fault):
            number, box = found
            boxes.setdefault(number, []).append(box)
        elif not ignored:
            faults.append(found)
    return boxes


def _box(where: str, row: Any, known: set[int | None], ignored: bool) -> tuple[int, Row] | Fault:
    """An annotation's image and its object; ``known``: the ids of images."""
    try:
        number, category = _get_whole(row, "image_id"), _get_whole(row, "category_id")
    except BadRow as error:
        return Fault(where, "bad row", str(error))
    if number not in known:
        return Fault(where, "unknown image", f"image {number} is not in the images")
    outline = _outline(row.get("segmentation"))
    box = _box_of(row)
    if not box and outline is not None:
        return number, Row(where, category, enclose(outline), outline, _area(row), ignored)
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        if "bbox" not in row:
            return Fault(where, "bad row", "has no key 'bbox', nor an outline")
        return Fault(where, "bad box", f"its bbox {shown(row['bbox'])} is not four numbers")
    x, y, width, height = box
    corners = (x, y, x + width, y + height)
    return number, Row(where, category, corners, outline, _area(row), ignored)


def _box_of(row: dict[str, Any]) -> list[float] | None:
    """An annotation's ``bbox``, or that of its outline as pycocotools draws it; None if it has
    neither."""
    if row.get("bbox") is not None:
        box: list[float] = row["bbox"]
        return box
    outline = row.get("segmentation")
    if not isinstance(outline, dict):
        return None
    try:
        if isinstance(outline["counts"], list):
            outline = mask.frPyObjects(outline, *outline["size"])
        found: list[float] = mask.toBbox(outline).tolist()
    except Exception:  # what is no outline fails in many ways
        return None
    return found


def _outline(segmentation: Any) -> Outline | None:
    """The polygons of a segmentation; None where it has none, or other than numbers."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    try:
        polygons = [np.asarray(points, np.float32).reshape(-1, 2) for points in segmentation]
    except (TypeError, ValueError):
        return None
    whole_ones = [points for points in polygons if len(points) > 2 and np.isfinite(points).all()]
    return tuple(whole_ones) or None


def _area(row: dict[str, Any]) -> float | None:
    """The stated area, which some tools write as a text; None if that is no number."""
    try:
        area = float(row["area"])
    except (KeyError, TypeError, ValueError):
        return None
    return area if 0 <= area < math.inf else None


def _notes(file: Path, content: dict[str, list[Any]]) -> tuple[str, ...]:
    """What is read otherwise than it stands there."""
    notes = []
    for key in ("images", "annotations", "categories"):
        rows = [row for row in content[key] if isinstance(row, dict)]
        for name in NUMBERS:
            count = sum(type(row.get(name)) is str for row in rows)
            if count:
                notes.append(f"{file.name}: in {count} {key} '{name}' is a text, read as a number")
    return tuple(notes)


def _place(file: Path, key: str, position: int, row: Any) -> str:
    """Where ``row`` stands: by its id, which can be searched for, if it has one."""
    number = whole(row.get("id")) if isinstance(row, dict) else None
    place = f"{key}[{position}]" if number is None else f"{key.removesuffix('s')} {number}"
    return f"{file.name}: {place}"


def _get(row: Any, key: str) -> Any:
    if not isinstance(row, dict):
        raise BadRow("is not a JSON object")
    if key not in row:
        raise BadRow(f"has no key '{key}'")
    return row[key]


def _get_whole(row: Any, key: str) -> int:
    value = _get(row, key)
    number = whole(value)
    if number is None:
        raise BadRow(f"its '{key}' {shown(value)} is not a whole number")
    return number


def _get_text(row: Any, key: str) -> str:
    value = _get(row, key)
    if not isinstance(value, str):
        raise BadRow(f"its '{key}' {shown(value)} is not a text")
    return value
