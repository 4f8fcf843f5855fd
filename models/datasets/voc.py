"""PASCAL VOC: an XML file for each photo, as LabelImg and others write it too."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from models.datasets.categories import labels_by_name, name_categories
from models.datasets.content import (
    Annotations,
    Categories,
    DataError,
    Fault,
    Reading,
    read_text,
    require_folder,
)
from models.datasets.files import PhotosByStem, Size, names_below, stable_id
from models.datasets.rows import BadRow, Outside, Row, RowCheck, is_number, shown

BEGINNING = 4096  # bytes of a file, within which its first element is


def is_voc(path: Path) -> bool:
    """Whether ``path`` is a photo's file, by its first element."""
    with path.open("rb") as file:
        return re.search(rb"<annotation[\s/>]", file.read(BEGINNING)) is not None


def read_voc(
    annotations: Path,
    images: Path,
    listed: Path | None = None,
    categories: Categories | None = None,
    outside: Outside = "refuse",
) -> Reading[Annotations]:
    """Read XML files in ``annotations``, of photos in ``images`` whose path is the same but for its
    suffix: those that the file ``listed`` names, or all.

    Categories are all names in these files, sorted, with ids from 1; or ``categories``, beside
    which there are no others: the training photos', where these are the validation's. An image's id
    is made of its name, so that it is the same in each split. Objects that the annotators marked as
    difficult are ignored, as in VOC's own protocol. Raises DataError.
    """
    require_folder(annotations)
    require_folder(images)
    names = names_below(annotations, ".xml") if listed is None else _names_in(listed)
    if not names:
        raise DataError(f"{annotations}: holds no XML file")
    photos = PhotosByStem(images)
    faults = [
        Fault(f"{listed.name}: {name}", "duplicate image", f"is listed {number} times")
        for name, number in Counter(names).items()
        if number > 1 and listed is not None
    ]
    files = list(_files(annotations, dict.fromkeys(names), faults))
    categories = name_categories((str(r.category) for f in files for r in f.rows), categories)
    check = RowCheck(labels_by_name(categories), outside, faults)
    found = [
        check.photo(stable_id(file.name), photos.find(file.name), file.size, file.rows)
        for file in files
    ]
    notes = () if listed is not None else photos.note_others(photos.find(name) for name in names)
    return Reading(Annotations(tuple(found), categories), tuple(faults), notes)


@dataclass(frozen=True)
class _File:
    name: str
    size: Size
    rows: list[Row]


def _names_in(listed: Path) -> list[str]:
    names = [line.strip() for line in read_text(listed).splitlines() if line.strip()]
    if not names:
        raise DataError(f"{listed}: lists no photo")
    return names


def _files(folder: Path, names: Iterable[str], faults: list[Fault]) -> Iterator[_File]:
    """Each photo's own file, read; a file that cannot be is a fault of that photo alone."""
    for name in names:
        path = folder / f"{name}.xml"
        try:
            root = _root(path)
            width, height = (_number(root, f"size/{side}") for side in ("width", "height"))
            if not (width.is_integer() and height.is_integer() and min(width, height) > 0):
                raise BadRow(f"is said to have {width:g} x {height:g} pixels")
        except BadRow as error:
            faults.append(Fault(path.name, "bad annotations", str(error)))
        else:
            yield _File(name, (int(width), int(height)), list(_rows(path.name, root, faults)))


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except OSError as error:
        raise BadRow(f"cannot be read: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # or an unknown encoding
        raise BadRow(f"is not XML ({error})") from error


def _rows(file: str, root: ElementTree.Element, faults: list[Fault]) -> Iterator[Row]:
    for position, item in enumerate(root.findall("object"), start=1):
        where = f"{file}: object {position}"
        try:
            name = (item.findtext("name") or "").strip()
            if not name:
                raise BadRow("has no <name>")
            left, top, right, bottom = (
                _number(item, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
            )
        except BadRow as error:
            faults.append(Fault(where, "bad box" if name else "bad row", str(error)))
        else:
            # VOC counts pixels from 1, and a box's last pixel belongs to it
            corners = (left - 1, top - 1, right, bottom)
            difficult = (item.findtext("difficult") or "").strip() == "1"
            yield Row(where, name, corners, ignored=difficult)


def _number(element: ElementTree.Element, tag: str) -> float:
    text = element.findtext(tag)
    if text is None:
        raise BadRow(f"has no <{tag}>")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not is_number(value):
        raise BadRow(f"its <{tag}> {shown(text)} is not a number")
    return value
