"""What is classified: whole photos, the boxes of a detection data set, and its background."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.boxes import box_iou
from models.datasets.content import Annotations, ClassFolders, Corners
from models.datasets.content import Photo as AnnotatedPhoto
from models.training.head.linear import BACKGROUND, FOLDS
from service.imaging.files import read_image, read_photo
from service.imaging.input_spec import CentreCrop, Stretch
from service.imaging.regions import Context, cut
from service.imaging.resize import Photo

# What is shown of a box's surroundings: R-CNN's 16 pixels of 227 (arXiv 1311.2524, appendix A).
CONTEXT = Context(padding=16 / (227 - 2 * 16))
BACKGROUND_IOU = 0.3  # with every object; what overlaps one by more is neither (section 2.3)
LEAST_SHARE = 0.1  # of the photo's sides, that a window of the background has
ATTEMPTS = 20  # at a window that overlaps no object
AT_ONCE = 32  # photos that are decoded ahead

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """A photo, or of it what ``box`` and its surroundings show; of the class ``label``, or
    `BACKGROUND`. What has the same ``fold`` is left out together."""

    path: Path
    label: int
    fold: int
    box: Corners | None = None


def whole_photos(content: ClassFolders) -> list[View]:
    """A view of each; the photos of a class are dealt to the folds in turn."""
    ordered = sorted(content.photos, key=lambda photo: photo.label)
    return [View(photo.path, photo.label, i % FOLDS) for i, photo in enumerate(ordered)]


def boxes_of(content: Annotations) -> list[View]:
    """A view of each object that is learned; those of a photo are in one fold."""
    return [
        View(photo.path, thing.label, i % FOLDS, photo.clip(thing.box))
        for i, photo in enumerate(content.photos)
        for thing in photo.learned
    ]


def background_of(content: Annotations, number: int, seed: int) -> list[View]:
    """Up to ``number`` windows of each photo that overlap no object by `BACKGROUND_IOU`."""
    return [
        View(photo.path, BACKGROUND, i % FOLDS, window)
        for i, photo in enumerate(content.photos)
        for window in _windows(photo, number, random.Random(f"{seed}/{photo.path.name}"))
    ]


def _windows(photo: AnnotatedPhoto, number: int, rng: random.Random) -> Iterator[Corners]:
    objects = torch.tensor([photo.clip(thing.box) for thing in photo.objects]).reshape(-1, 4)
    for _ in range(number):
        for _ in range(ATTEMPTS):
            width, height = (
                side * LEAST_SHARE ** rng.random() for side in (photo.width, photo.height)
            )
            left, top = (rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - height))
            window = left, top, left + width, top + height
            overlaps = box_iou(torch.tensor([window]), objects)
            if not (overlaps >= BACKGROUND_IOU).any():
                yield window
                break


def pixels_of(views: Sequence[View], spec: CentreCrop | Stretch) -> Iterator[Pixels]:
    """Each as an input uint8 [H, W, 3] of ``spec``, in order: a whole photo as the service resizes
    it, a box stretched. A photo is decoded once for views that follow each other.

    Raises PhotoError.
    """
    photos = [(path, list(group)) for path, group in groupby(views, key=lambda view: view.path)]
    with ThreadPoolExecutor() as pool:  # threads suffice: Pillow decodes without the GIL
        for start in range(0, len(photos), AT_ONCE):
            for inputs in pool.map(
                lambda one: _inputs(*one, spec), photos[start : start + AT_ONCE]
            ):
                yield from inputs


def _inputs(path: Path, views: list[View], spec: CentreCrop | Stretch) -> list[Pixels]:
    if views[0].box is None:
        return [read_photo(path, spec).pixels] * len(views)
    image, boxes = read_image(path), [view.box for view in views if view.box is not None]
    return [one.pixels for one in cut(Photo(image, *image.size), boxes, spec, CONTEXT)]
