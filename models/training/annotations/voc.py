"""PASCAL VOC: an XML file for each photo, and lists of photos for each split."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from models.training.annotations.content import (
    Annotations,
    Categories,
    DataError,
    Fault,
    Reading,
    read_text,
    require_folder,
)
from models.training.annotations.rows import BadRow, Row, is_number, make_photo, shown
from service.imaging.files import visible_files
from service.imaging.formats import select_photos


def read_voc(
    folder: Path, split: str | None, categories: Categories | None = None
) -> Reading[Annotations]:
    """Read the photos that ImageSets/Main/<split>.txt lists, in the layout of PASCAL VOC; or, if
    ``split`` is None, all that have a file in Annotations/.

    Categories are all names in the split, sorted, with ids from 1; or ``categories``, beside which
    there are no others: the training photos', where these are the validation's. An image's id is
    made of its name, so that it is the same in each split. Objects that the annotators marked as
    difficult are `Photo.ignored`, as in VOC's own protocol. Raises DataError.
    """
    names = _names_of_all(folder) if split is None else _names_of(folder, split)
    require_folder(folder / "Annotations")
    require_folder(folder / "JPEGImages")
    found, _ = select_photos(sorted((folder / "JPEGImages").iterdir()), str)
    files = {path.stem: path for path in found}
    faults = [
        Fault(f"{split}.txt: {name}", "duplicate image", f"is listed {number} times")
        for name, number in Counter(names).items()
        if number > 1
    ]
    found = list(_files(folder / "Annotations", dict.fromkeys(names), faults))
    if categories is None:
        classes = sorted({str(row.category) for file in found for row in file.rows})
        categories = tuple(enumerate(classes, start=1))
    labels = {name: label for label, (_, name) in enumerate(categories)}
    photos = []
    for file in found:
        path = files.get(file.name, folder / "JPEGImages" / f"{file.name}.jpg")
        number = _stable_id(file.name)
        photos.append(make_photo(number, path, file.width, file.height, file.rows, labels, faults))
    return Reading(Annotations(tuple(photos), categories), tuple(faults))


@dataclass(frozen=True)
class _File:
    name: str
    width: int
    height: int
    rows: list[Row]


def _names_of(folder: Path, split: str) -> list[str]:
    lists = folder / "ImageSets" / "Main"
    path = lists / f"{split}.txt"
    if lists.is_dir() and not path.exists():
        others = ", ".join(sorted(p.stem for p in lists.glob("*.txt"))) or "none"
        raise DataError(f"{path}: no such split; there are: {others}")
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path}: lists no photo")
    return names


def _names_of_all(folder: Path) -> list[str]:
    files = folder / "Annotations"
    names = sorted(path.stem for path in visible_files(files) if path.suffix == ".xml")
    if not names:
        raise DataError(f"{files}: holds no XML file")
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
            rows = list(_rows(path.name, root, faults))
            yield _File(name, int(width), int(height), rows)


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
            yield Row(where, name, corners, difficult)


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


def _stable_id(name: str) -> int:
    """A number that only ``name`` decides, of 48 bits so that every reader of JSON keeps it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")
