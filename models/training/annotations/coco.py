"""COCO: one JSON file with the lists of images, annotations and categories."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from models.evaluation import box_of, is_crowd
from models.training.annotations.content import (
    Annotations,
    Categories,
    DataError,
    Fault,
    Reading,
    first_names,
    read_text,
    require_folder,
)
from models.training.annotations.rows import BadRow, Row, is_number, make_photo, shown, whole


def read_coco(
    annotations: Path, images: Path, categories: Categories | None = None
) -> Reading[Annotations]:
    """Read a COCO instances file, whose file names lie in the folder ``images``.

    Categories are sorted by id. ``categories`` are those that the file must have: the training
    photos', where these are the validation's. Crowds (``iscrowd``) are `Photo.ignored`; one without
    a box or an outline is left out, which is no fault. Raises DataError.
    """
    content = _read_json(annotations)
    found = _categories(annotations, content["categories"])
    if categories is not None and found != categories:
        raise DataError(
            f"{annotations}: its categories ({first_names(found)}) are not the expected ones"
            f" ({first_names(categories)})"
        )
    require_folder(images)
    faults: list[Fault] = []
    rows = _images(annotations, content["images"], faults)
    boxes = _boxes(annotations, content, faults)
    labels = {number: label for label, (number, _) in enumerate(found)}
    photos = [
        make_photo(number, images / name, width, height, boxes.get(number, ()), labels, faults)
        for number, name, width, height in rows
    ]
    return Reading(Annotations(tuple(photos), found), tuple(faults))


def _read_json(path: Path) -> dict[str, list[Any]]:
    """A COCO file's content, of which the three lists are there."""
    text = read_text(path)
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


def _categories(file: Path, rows: list[Any]) -> Categories:
    """Of these each must be right: a network's outputs depend on their number and order."""
    categories = []
    for position, row in enumerate(rows):
        try:
            categories.append((_get_whole(row, "id"), _get_text(row, "name")))
        except BadRow as error:
            raise DataError(f"{file}: categories[{position}] {error}") from error
    for number, times in Counter(number for number, _ in categories).items():
        if times > 1:
            raise DataError(f"{file}: {times} categories have the id {number}")
    return tuple(sorted(categories))


def _images(file: Path, rows: list[Any], faults: list[Fault]) -> list[tuple[int, str, int, int]]:
    """(id, file name, width, height) of each image that is right."""
    images = []
    for position, row in enumerate(rows):
        try:
            number, name = _get_whole(row, "id"), _get_text(row, "file_name")
            width, height = _get_whole(row, "width"), _get_whole(row, "height")
            if width <= 0 or height <= 0:
                raise BadRow(f"is said to have {width} x {height} pixels")
        except BadRow as error:
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


def _boxes(file: Path, content: dict[str, list[Any]], faults: list[Fault]) -> dict[int, list[Row]]:
    """The boxes that can be read, by their image's id."""
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
    """An annotation's image and its box; ``known``: the ids of images."""
    try:
        number, category = _get_whole(row, "image_id"), _get_whole(row, "category_id")
        box = box_of(row) if ignored else _get(row, "bbox")
    except BadRow as error:
        return Fault(where, "bad row", str(error))
    if number not in known:
        return Fault(where, "unknown image", f"image {number} is not in the images")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        return Fault(where, "bad box", f"its bbox {shown(box)} is not four numbers")
    x, y, width, height = box
    return number, Row(where, category, (x, y, x + width, y + height), ignored)


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
