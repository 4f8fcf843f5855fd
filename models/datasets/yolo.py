"""YOLO: a text file for each photo, and data.yaml or classes.txt with the names of classes."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from models.datasets.categories import match_categories
from models.datasets.content import (
    Annotations,
    Categories,
    DataError,
    Fault,
    Reading,
    read_text,
)
from models.datasets.files import Size, count_of, names_below, photos_below, read_sizes, stable_id
from models.datasets.rows import BadRow, Outside, Row, RowCheck, enclose, is_number, shown, whole
from service.imaging.files import visible_files
from service.imaging.formats import select_photos

# Files of names, one a line, as LabelImg, Label Studio and Darknet place them.
NAMES = ("classes.txt", "labels/classes.txt", "*/classes.txt", "*.names", "*/_darknet.labels")
BESIDE = (".txt", ".cache")  # files that lie beside photos and are none
BOX = 5  # numbers of a row: the class, then the box's centre and size as shares of the photo's
SPLITS = ("train", "val", "test")  # keys of data.yaml


@dataclass(frozen=True)
class YoloNames:
    """The names of classes by id, and the file that has them.

    points: whether rows go on, behind the box, with the points of a pose.
    """

    file: Path
    categories: Categories
    points: bool = False


def read_yaml(path: Path) -> dict[str, Any] | None:
    """The content of a data.yaml; None if it is none, by its keys. Raises DataError."""
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from error
    known = isinstance(content, dict) and any(content.get(split) for split in SPLITS)
    return content if known else None


def names_of_yaml(path: Path, content: dict[str, Any]) -> YoloNames:
    """The names in a data.yaml, a list or a mapping. Raises DataError."""
    names = content.get("names")
    if not names or not isinstance(names, (dict, list)):
        raise DataError(f"{path}: has no 'names', a list of the classes' names")
    rows = names.items() if isinstance(names, dict) else enumerate(names)
    found = [(whole(number), str(name)) for number, name in rows]
    categories = tuple(sorted((number, name) for number, name in found if number is not None))
    if len(categories) < len(found):
        raise DataError(f"{path}: its 'names' have other numbers than whole ones")
    return YoloNames(path, categories, points="kpt_shape" in content)


def names_of_text(path: Path) -> YoloNames:
    """The names in a classes.txt, one a line. Raises DataError."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path}: has no names, one a line")
    return YoloNames(path, tuple(enumerate(names)))


def folders_of(path: Path, content: dict[str, Any], split: str) -> list[Path]:
    """The folders of photos, or lists of them, that data.yaml names for ``split``; none if it names
    none. Raises DataError for one that is not there.

    Relative ones are so to ``path:``, or to the file's folder; Roboflow's lead one folder too far
    up.
    """
    entries = content.get(split) or []
    base = path.parent / str(content.get("path") or ".")
    found = []
    for entry in [entries] if isinstance(entries, str) else entries:
        entry = str(entry)
        inside = path.parent / entry.removeprefix("../")
        existing = [place for place in (inside, base / entry) if place.exists()]
        if not existing:
            raise DataError(
                f"{path}: its {split}: {entry} is not there; looked at {inside} and {base / entry}"
            )
        found.append(existing[0])
    return found


def read_yolo(
    sources: Sequence[Path],
    names: YoloNames,
    categories: Categories | None = None,
    outside: Outside = "refuse",
) -> Reading[Annotations]:
    """Read the photos in folders, or in text files that list them, each with the label file that
    Ultralytics would read: in labels/ where the photo is in images/, else beside it.

    Rows are a class and a box, or a class and an outline, whose box is what it spans. A photo whose
    label file is empty or missing shows nothing. Categories are ``names``, whose ids are the
    numbers in the files. An image's id is made of its path. Raises DataError.
    """
    faults: list[Fault] = []
    paths, notes = _photos(sources)
    folders = {folder: labels_of(folder) for folder in {path.parent for path in paths}}
    labelled = [(path, folders[path.parent] / f"{path.stem}.txt") for path in paths]
    missing = [path for path, file in labelled if not file.is_file()]
    if missing:
        notes.append(f"{count_of(missing, 'photo')} without a label file: taken to show nothing")
    faults += _without_photo(sources, {file for _, file in labelled})
    rows = {path: list(_rows(file, names, faults)) for path, file in labelled if file.is_file()}
    used = {row.category for of_photo in rows.values() for row in of_photo}
    labels = match_categories(names.file, names.categories, used, categories)
    check = RowCheck(labels, outside, faults)
    photos = [
        check.photo(_id_of(path, names), path, size, _in_pixels(rows.get(path, ()), size))
        for path, size in read_sizes(paths, faults)
        if size is not None
    ]
    known = categories or names.categories
    return Reading(Annotations(tuple(photos), known), tuple(faults), tuple(notes))


def has_labels(folder: Path) -> bool:
    """Whether a photo in or below ``folder`` has a label file."""
    photos = photos_below(folder)
    return any((labels_of(p.parent) / f"{p.stem}.txt").is_file() for p in photos)


def labels_of(folder: Path) -> Path:
    """Where the label files of the photos in ``folder`` are: in labels/, where that is in images/;
    else beside them."""
    parts = list(folder.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    labels = Path(*parts)
    return labels if labels.is_dir() else folder


def _photos(sources: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The photos of all sources, once each; and what files of folders were passed over."""
    paths: dict[Path, None] = {}
    notes = []
    for source in sources:
        if source.is_dir():
            files = [f for f in visible_files(source) if f.suffix.lower() not in BESIDE]
            found, note = select_photos(files, str)
            notes += [] if note is None else [f"{source}: {note}"]
        else:
            lines = read_text(source).splitlines()
            found = [source.parent / line.strip() for line in lines if line.strip()]
        paths |= dict.fromkeys(found)
    if not paths:
        raise DataError(f"{', '.join(map(str, sources))}: holds no photo")
    return list(paths), notes


def _without_photo(sources: Sequence[Path], known: set[Path]) -> Iterator[Fault]:
    """The label files of folders that no photo has."""
    for source in filter(Path.is_dir, sources):
        folder = labels_of(source)
        for name in names_below(folder, ".txt") if folder.is_dir() else ():
            file = folder / f"{name}.txt"
            if file not in known and file.name != "classes.txt":
                yield Fault(str(file), "missing photo", f"there is no photo of it in {source}")


def _rows(file: Path, names: YoloNames, faults: list[Fault]) -> Iterator[Row]:
    """The rows of a label file, in shares of the photo's width and height."""
    try:
        lines = read_text(file).splitlines()
    except DataError as error:
        faults.append(Fault(file.name, "bad annotations", str(error)))
        return
    for position, line in enumerate(lines, start=1):
        where = f"{file.name}: line {position}"
        try:
            if line.strip():
                yield _row(where, line.split(), names)
        except BadRow as error:
            faults.append(Fault(where, "bad row", str(error)))


def _row(where: str, words: list[str], names: YoloNames) -> Row:
    try:
        category, *numbers = map(float, words)
    except ValueError:
        category, numbers = math.nan, []
    label = whole(category)
    if label is None or not all(map(is_number, numbers)):
        raise BadRow(f"{shown(' '.join(words))} is not a class and numbers")
    if names.points:
        numbers = numbers[: BOX - 1]
    if len(numbers) == BOX - 1:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Row(where, label, corners)
    if len(numbers) < 6 or len(numbers) % 2:
        raise BadRow(f"has {len(words)} numbers: neither a class and a box nor an outline")
    outline = (np.asarray(numbers, np.float32).reshape(-1, 2),)
    return Row(where, label, enclose(outline), outline)


def _in_pixels(rows: Iterable[Row], size: Size) -> Iterator[Row]:
    width, height = size
    for row in rows:
        left, top, right, bottom = row.box
        box = (left * width, top * height, right * width, bottom * height)
        outline = row.outline and tuple(points * np.float32(size) for points in row.outline)
        yield Row(row.where, row.category, box, outline)


def _id_of(path: Path, names: YoloNames) -> int:
    """An image's id: of its path beside the file of names, on whatever machine."""
    return stable_id(os.path.relpath(path, names.file.parent))
