"""LabelMe: a JSON file for each photo, beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.datasets.categories import labels_by_name, name_categories
from models.datasets.content import (
    Annotations,
    Categories,
    Corners,
    DataError,
    Fault,
    Outline,
    Reading,
    read_json,
)
from models.datasets.files import PhotosByStem, Size, names_below, read_sizes, stable_id
from models.datasets.rows import BadRow, Outside, Row, RowCheck, enclose, is_number, shown, whole


def is_labelme(path: Path) -> bool:
    """Whether ``path`` is a photo's file, by its keys."""
    try:
        content = read_json(path)
    except DataError:
        return False
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read_labelme(
    folder: Path, categories: Categories | None = None, outside: Outside = "refuse"
) -> Reading[Annotations]:
    """Read all JSON files below ``folder``, each of the photo beside it.

    Shapes with an area have a box: rectangles, polygons, circles and masks; other shapes are
    faults. Categories are all labels, sorted, with ids from 1; or ``categories``, beside which
    there are no others. An image's id is made of its name. Raises DataError.
    """
    photos, faults = PhotosByStem(folder), list[Fault]()
    files = {}
    for name in names_below(folder, ".json"):
        path = folder / f"{name}.json"
        try:
            files[name] = _read(path, faults)
        except (BadRow, DataError) as error:
            faults.append(Fault(path.name, "bad annotations", str(error)))
    rows_of_all = (row for _, rows in files.values() for row in rows)
    categories = name_categories((str(row.category) for row in rows_of_all), categories)
    check = RowCheck(labels_by_name(categories), outside, faults)
    paths = {name: photos.find(name) for name in files}
    measured = dict(
        read_sizes([paths[name] for name, (size, _) in files.items() if not size], faults)
    )
    found = []
    for name, (stated, rows) in files.items():
        size = stated or measured[paths[name]]
        if size is not None:
            found.append(check.photo(stable_id(name), paths[name], size, rows))
    notes = photos.note_others(paths.values())
    return Reading(Annotations(tuple(found), categories), tuple(faults), notes)


def _read(path: Path, faults: list[Fault]) -> tuple[Size | None, list[Row]]:
    """The size that a file states, if it does, and the shapes that have a box."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise BadRow("has no list 'shapes'")
    width, height = whole(content.get("imageWidth")), whole(content.get("imageHeight"))
    size = (width, height) if width and height else None
    return size, list(_rows(path.name, content["shapes"], faults))


def _rows(file: str, shapes: list[Any], faults: list[Fault]) -> Iterator[Row]:
    for position, shape in enumerate(shapes, start=1):
        where = f"{file}: shape {position}"
        try:
            name = shape.get("label") if isinstance(shape, dict) else None
            if not isinstance(name, str) or not name.strip():
                raise BadRow("has no label")
            box, outline = _box(shape)
        except BadRow as error:
            faults.append(Fault(where, "bad row", str(error)))
        else:
            yield Row(where, name.strip(), box, outline)


def _box(shape: dict[str, Any]) -> tuple[Corners, Outline | None]:
    """A shape's box, and a polygon's outline. Raises BadRow."""
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    try:
        found = np.asarray(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        found = np.empty((0, 2))
    if not all(map(is_number, found.ravel().tolist())):
        raise BadRow(f"its points {shown(points)} are not numbers")
    if kind == "polygon" and len(found) > 2:
        outline = (found.astype(np.float32),)
        return enclose(outline), outline
    if kind == "circle" and len(found) == 2:  # its centre, and a point of its edge
        radius = float(np.hypot(*(found[1] - found[0])))
        x, y = found[0].tolist()
        return (x - radius, y - radius, x + radius, y + radius), None
    if kind in ("rectangle", "mask") and len(found) == 2:  # corners, in any order
        (left, top), (right, bottom) = found.min(axis=0).tolist(), found.max(axis=0).tolist()
        return (left, top, right, bottom), None
    raise BadRow(f"is a {kind} of {len(found)} points, which has no box")
