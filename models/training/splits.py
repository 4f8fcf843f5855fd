"""Which photos are trained on, and which are measured on, whatever the layout of the data.

COCO            instances_train.json  instances_val.json  train/  val/
COCO, one file  any.json and a folder of photos
VOC             Annotations/  JPEGImages/  ImageSets/Main/train.txt  ImageSets/Main/val.txt
class folders   train/<class>/  val/<class>/

Where there is nothing to measure on, a share of the photos is held out. Which ones follows from
their names alone: runs on the same data, with whatever seed, never train on what another measured.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from models.training.annotations.class_folders import read_class_folders
from models.training.annotations.coco import read_coco
from models.training.annotations.content import (
    Annotations,
    Categories,
    ClassFolders,
    DataError,
    LabelledPhoto,
    Photo,
    Reading,
)
from models.training.annotations.voc import read_voc

Content = TypeVar("Content", Annotations, ClassFolders)
Item = TypeVar("Item", Photo, LabelledPhoto)

TRAIN, VAL = "train", "val"


@dataclass(frozen=True)
class Layout(Generic[Content]):
    """How the files of a data set are laid out.

    read: reads a split by its name; with the categories that it must have, if not None.
    validation: the file or folder that says what to measure on, where the layout has one.
    """

    data: Path
    read: Callable[[str, Categories | None], Reading[Content]]
    validation: Path | None

    def splits(self, share: float | None) -> tuple[str, ...]:
        """The names of the splits to be read: two, or one of which ``share`` is to be held out.

        Raises DataError where it is not clear what to measure on.
        """
        if self.validation is not None and self.validation.exists():
            if share is not None:
                raise DataError(
                    f"{self.validation} has photos to measure on; leave --validation-share out"
                )
            return TRAIN, VAL
        if share is not None:
            return (TRAIN,)
        hold = "hold a tenth of the photos out: --validation-share 0.1"
        if self.validation is None:
            raise DataError(f"{self.data}: one file has no photos to measure on; {hold}")
        name = self.validation.relative_to(self.data)
        raise DataError(f"{self.data}: there is no {name} to measure on; add it, or {hold}")


def detection_layout(data: Path, images: Path | None) -> Layout[Annotations]:
    """The layout of ``data``: a folder, or a COCO file whose photos are in ``images``, or beside
    it. Raises DataError if it is none."""
    if data.is_file():
        folder = images or data.parent
        return Layout(data, lambda _, known: read_coco(data, folder, known), None)
    if images is not None:
        raise DataError(f"--images goes with a COCO file alone; {data} is a folder")
    if (data / "Annotations").is_dir() or (data / "ImageSets").is_dir():
        lists = data / "ImageSets" / "Main"
        listed = lists.is_dir()
        return Layout(
            data,
            lambda split, known: read_voc(data, split if listed else None, categories=known),
            lists / f"{VAL}.txt",
        )
    if not (data / f"instances_{TRAIN}.json").exists():
        raise DataError(
            f"{data}: has neither instances_{TRAIN}.json (COCO) nor Annotations/ (VOC); --help"
            " tells the layouts, of which one is a COCO file alone"
        )
    return Layout(
        data,
        lambda split, known: read_coco(data / f"instances_{split}.json", data / split, known),
        data / f"instances_{VAL}.json",
    )


def class_layout(data: Path) -> Layout[ClassFolders]:
    """The layout of ``data``: a folder for every class, in train/ and val/ or in ``data`` itself.

    Raises DataError if it is none.
    """
    if not data.is_dir():
        raise DataError(f"{data}: a classifier's data is a folder, with a folder for every class")
    whole = not (data / TRAIN).is_dir() and not (data / VAL).is_dir()
    return Layout(
        data,
        lambda split, known: read_class_folders(data if whole else data / split, known),
        data / VAL,
    )


def hold_out(content: Content, share: float) -> tuple[Content, Content]:
    """``content`` without ``share`` of its photos, and these: at least one, and never all. Of each
    class folder the same share; one with a single photo keeps it for training.

    Raises DataError if there is but one photo.
    """
    held: set[Path] = set()
    if isinstance(content, ClassFolders):
        for label in range(len(content.categories)):
            held |= _chosen([p for p in content.photos if p.label == label], share)
    else:
        held = _chosen(content.photos, share)
    if not held:
        raise DataError(f"{len(content.photos)} photos are too few to hold one out for validation")
    return (
        replace(content, photos=tuple(p for p in content.photos if p.path not in held)),
        replace(content, photos=tuple(p for p in content.photos if p.path in held)),
    )


def _chosen(photos: Sequence[Photo | LabelledPhoto], share: float) -> set[Path]:
    """The files that are held out of ``photos``; none of a single one. By a hash of their names,
    whose order is independent of dates or classes in them."""
    number = min(max(1, round(share * len(photos))), len(photos) - 1)
    ranked = sorted(photos, key=lambda photo: hashlib.blake2b(photo.path.name.encode()).digest())
    return {photo.path for photo in ranked[:number]}
