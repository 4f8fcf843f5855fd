"""The layouts of data sets: how each is recognised, and what reads it.

`LAYOUTS` is the one list of them, for training, export and evaluation; docs/training.md shows it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal

from models.datasets.class_folders import read_class_folders
from models.datasets.coco import read_coco, split_of
from models.datasets.content import (
    Annotations,
    Categories,
    ClassFolders,
    Content,
    DataError,
    Reading,
    read_text,
)
from models.datasets.files import photos_below
from models.datasets.labelme import is_labelme, read_labelme
from models.datasets.rows import Outside
from models.datasets.voc import is_voc, read_voc
from models.datasets.yolo import (
    NAMES,
    SPLITS,
    folders_of,
    has_labels,
    names_of_text,
    names_of_yaml,
    read_yaml,
    read_yolo,
)

Role = Literal["train", "val", "test"]
ROLES: dict[str, Role] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


# Reads a split: with the categories that it must have, and what becomes of boxes that reach beyond
# their photo (`Outside`), as ``categories`` and ``outside``.
Read = Callable[..., Reading[Content]]


@dataclass(frozen=True)
class Split(Generic[Content]):
    """A part of a data set.

    name: as the data set calls it; empty where it is all there is. source: the file or folder that
    says what its photos show.
    """

    name: str
    source: Path
    read: Read[Content]

    @property
    def role(self) -> Role | None:
        """What it is for, by its name, of which COCO's ends in a year."""
        return ROLES.get(re.sub(r"\d+$", "", self.name.lower()))


class UnknownLayout(DataError):
    """A folder that is laid out as none of the table's; the message says what was looked for."""


@dataclass(frozen=True)
class Layout(Generic[Content]):
    """name: of what writes it. files: what it is recognised by.
    find: the splits of a folder, none where it is laid out otherwise; raises DataError."""

    name: str
    files: str
    find: Callable[[Path], Sequence[Split[Content]]]


@dataclass(frozen=True)
class DataSet(Generic[Content]):
    """A data set that was recognised, at ``path``."""

    path: Path
    layout: str
    splits: tuple[Split[Content], ...]

    def training(self) -> Split[Content]:
        """The photos to train on: those of its own, or all. Raises DataError."""
        found = self._of("train")
        if found is not None:
            return found
        if len(self.splits) == 1 and self.splits[0].role is None:
            return self.splits[0]
        names = ", ".join(split.name for split in self.splits)
        raise DataError(f"{self.path}: {self.layout}, of which {names} is none to train on")

    def validation(self) -> Split[Content] | None:
        """The photos to measure on; the test photos, where there are no others."""
        return self._of("val") or self._of("test")

    def measured(self) -> Split[Content]:
        """The photos to measure on; all, where nothing says which. Raises DataError."""
        return self.validation() or self.training()

    def _of(self, role: Role) -> Split[Content] | None:
        found = [split for split in self.splits if split.role == role]
        if len(found) > 1:
            names = ", ".join(str(split.source) for split in found)
            raise DataError(f"{self.path}: {names} are each for {role}; name one file alone")
        return found[0] if found else None


def recognise_detection(path: Path, images: Path | None = None) -> DataSet[Annotations]:
    """The data set at ``path``: a folder, a data.yaml, or a COCO file, whose photos are in
    ``images`` or in one of `photo_folders`. Raises DataError, which says what was looked for."""
    yaml = path.suffix.lower() in (".yaml", ".yml")
    if images is not None and (yaml or path.is_dir()):
        raise DataError(f"--images goes with a COCO file alone, not with {path}")
    if path.is_dir():
        return _recognise(path, LAYOUTS)
    if yaml:
        content = read_yaml(path)
        if content is None:
            raise DataError(f"{path}: is no data.yaml of YOLO, with {', '.join(SPLITS)} in it")
        return DataSet(path, "YOLO", tuple(_yaml_splits(path, content)))
    return DataSet(path, "COCO", (Split("", path, partial(read_coco, path, images)),))


def recognise_coco_files(train: Path, val: Path, images: Path | None) -> DataSet[Annotations]:
    """Two COCO files, one to train on and one to measure on."""
    files: tuple[tuple[Role, Path], ...] = (("train", train), ("val", val))
    splits = (Split(role, file, partial(read_coco, file, images)) for role, file in files)
    return DataSet(train, "COCO", tuple(splits))


def recognise_classes(path: Path) -> DataSet[ClassFolders]:
    """The class folders at ``path``, in folders of splits or in ``path`` itself. Raises
    DataError."""
    if not path.is_dir():
        raise DataError(f"{path}: a classifier's data is a folder, with a folder for every class")
    return _recognise(path, CLASS_LAYOUTS)


def recognise(path: Path) -> DataSet[Annotations] | DataSet[ClassFolders]:
    """The data set at ``path``, of either task; of class folders each must hold a photo. Raises
    DataError."""
    try:
        return recognise_detection(path)
    except UnknownLayout:
        found = recognise_classes(path)
        classes = list(found.measured().source.glob("[!.]*/"))
        if not classes or any(next(photos_below(folder), None) is None for folder in classes):
            raise
        return found


def _recognise(folder: Path, layouts: Sequence[Layout[Content]]) -> DataSet[Content]:
    for layout in layouts:
        splits = layout.find(folder)
        if splits:
            return DataSet(folder, layout.name, tuple(splits))
    for name, patterns, remedy in FOREIGN:
        if any(next(folder.glob(pattern), None) for pattern in patterns):
            raise DataError(f"{folder}: is laid out as {name} has it, which is not read; {remedy}")
    looked_for = "; ".join(f"{layout.files} ({layout.name})" for layout in layouts)
    raise UnknownLayout(
        f"{folder}: is no data set that is known. Looked for: {looked_for}. There is:"
        f" {_listing(folder)}"
    )


def _voc_beside(folder: Path, **how: Any) -> Reading[Annotations]:
    return read_voc(folder, folder, **how)


def _listing(folder: Path) -> str:
    """What lies in ``folder``: the first folders by name, and the kinds of files."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [f"{entry.name}/" for entry in entries if entry.is_dir()]
    kinds = Counter(e.suffix or "without a suffix" for e in entries if not e.is_dir())
    more = [f"… ({len(folders)} folders)"] if len(folders) > 8 else []
    files = [f"{number} {kind}" for kind, number in kinds.most_common(8)]
    return ", ".join([*folders[:8], *more, *files]) or "nothing"


def _role_folders(folder: Path) -> list[Path]:
    """The folders of splits in ``folder``, which may not exist."""
    return sorted(path for path in folder.glob("*/") if path.name.lower() in ROLES)


def _yolo(folder: Path) -> list[Split[Annotations]]:
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        content = read_yaml(path)
        if content is not None:
            return list(_yaml_splits(path, content))
    return []


def _yolo_without_yaml(folder: Path) -> list[Split[Annotations]]:
    splits = _role_folders(folder)
    places = [
        {path.name: path for path in _role_folders(folder / "images")},
        {path.name: path / "images" for path in splits},
        {path.name: path for path in splits},
        {"": folder},
    ]
    labelled = [{name: path for name, path in d.items() if has_labels(path)} for d in places]
    sources = next(filter(None, labelled), None)
    if sources is None:
        return []
    found = (path for pattern in NAMES for path in sorted(folder.glob(pattern)))
    file = next(found, None)
    if file is None:
        raise DataError(
            f"{folder}: has YOLO's labels, and neither data.yaml nor classes.txt with the names of"
            " the classes; add one of these"
        )
    names = names_of_text(file)
    return [Split(name, file, partial(read_yolo, [path], names)) for name, path in sources.items()]


def _yaml_splits(path: Path, content: dict[str, object]) -> Iterator[Split[Annotations]]:
    names = names_of_yaml(path, content)
    for split in SPLITS:
        sources = folders_of(path, content, split)
        if sources:
            yield Split(split, path, partial(read_yolo, sources, names))


def _coco(pattern: str) -> Callable[[Path], list[Split[Annotations]]]:
    """COCO files by the pattern of their names; a single one may be of no split."""

    def find(folder: Path) -> list[Split[Annotations]]:
        files = sorted(folder.glob(pattern))
        splits = [Split(split_of(file), file, partial(read_coco, file)) for file in files]
        known = [split for split in splits if split.role is not None]
        if len(splits) > 1 and not known:
            names = ", ".join(file.name for file in files)
            raise DataError(f"{folder}: {names}: which to train on? Name two: --train, --val")
        return known or splits

    return find


def _coco_alone(folder: Path) -> list[Split[Annotations]]:
    """A single JSON file that is COCO's by its keys, as Label Studio writes it."""
    files = sorted(folder.glob("*.json"))
    if len(files) != 1 or '"images"' not in read_text(files[0]):
        return []
    return [Split("", files[0], partial(read_coco, files[0]))]


def _voc(folder: Path) -> list[Split[Annotations]]:
    """PASCAL's own layout, with or without lists."""
    annotations, lists = folder / "Annotations", folder / "ImageSets" / "Main"
    if not annotations.is_dir():
        return []
    places = [folder / name for name in ("JPEGImages", "images")]
    images = next((place for place in places if place.is_dir()), places[0])
    files = sorted(lists.glob("*.txt"))
    splits = [
        Split(file.stem, file, partial(read_voc, annotations, images, file)) for file in files
    ]
    known = [split for split in splits if split.role is not None]
    if files and not known:
        names = ", ".join(file.stem for file in files)
        raise DataError(f"{lists}: has no train.txt; there are: {names}")
    return known or [Split("", annotations, partial(read_voc, annotations, images))]


def _beside_photos(
    suffix: str, is_one: Callable[[Path], bool], read: Callable[..., Reading[Annotations]]
) -> Callable[[Path], list[Split[Annotations]]]:
    """A file for each photo, beside it: in the folder itself, or in those of splits."""

    def holds(folder: Path) -> bool:
        first = next(iter(sorted(folder.glob(f"*{suffix}"))), None)
        return first is not None and is_one(first)

    def find(folder: Path) -> list[Split[Annotations]]:
        found = [path for path in _role_folders(folder) if holds(path)]
        if found:
            return [Split(path.name, path, partial(read, path)) for path in found]
        return [Split("", folder, partial(read, folder))] if holds(folder) else []

    return find


def _class_splits(folder: Path) -> list[Split[ClassFolders]]:
    """Class folders in those of splits; a class itself may be called train."""
    splits = [
        Split(path.name, path, partial(_read_classes, path))
        for path in _role_folders(folder)
        if any(entry.is_dir() for entry in path.iterdir())
    ]
    return splits or [Split("", folder, partial(_read_classes, folder))]


def _read_classes(
    folder: Path, categories: Categories | None = None, outside: Outside = "refuse"
) -> Reading[ClassFolders]:
    return read_class_folders(folder, categories)  # no boxes, so that none reaches anywhere


# The first that fits counts.
LAYOUTS: tuple[Layout[Annotations], ...] = (
    Layout("YOLO", "data.yaml", _yolo),
    Layout("COCO", "instances_train.json and instances_val.json", _coco("instances_*.json")),
    Layout(
        "COCO as Roboflow has it", "train/_annotations.coco.json", _coco("*/_annotations.coco.json")
    ),
    Layout(
        "COCO 2017, CVAT", "annotations/instances_train.json", _coco("annotations/instances_*.json")
    ),
    Layout("COCO, Label Studio", "a single .json", _coco_alone),
    Layout("PASCAL VOC", "Annotations/", _voc),
    Layout(
        "VOC beside photos, LabelImg",
        "*.xml or train/*.xml",
        _beside_photos(".xml", is_voc, _voc_beside),
    ),
    Layout("LabelMe", "*.json or train/*.json", _beside_photos(".json", is_labelme, read_labelme)),
    # the last, as it looks at every photo
    Layout("YOLO without data.yaml", "classes.txt and *.txt or labels/", _yolo_without_yaml),
)
CLASS_LAYOUTS: tuple[Layout[ClassFolders], ...] = (
    Layout("class folders", "a folder for each class, in train/ and val/ or alone", _class_splits),
)
# What is recognised only to be refused: its name, its files, and what to do.
FOREIGN = (
    ("Supervisely", ("*/ann/*.json",), "export it from there as COCO"),
    ("CVAT for images", ("annotations.xml",), "export the task from CVAT as COCO 1.0"),
    ("VIA", ("via_*.json",), "export the annotations from VIA as COCO"),
    (
        "CreateML",
        ("_annotations.createml.json", "*/_annotations.createml.json"),
        "export it as COCO",
    ),
    ("TFRecord", ("*.tfrecord*", "*/*.tfrecord*"), "export it as COCO"),
    ("a table", ("*.csv", "*/_annotations.csv"), "turn it into COCO, or export it again as COCO"),
)
