"""Which photos are trained on, and which are measured on.

Where a data set has none to measure on, a share of its photos is held out. Which ones follows from
their names alone: runs on the same data, with whatever seed, never train on what another measured.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.datasets.content import ClassFolders, Content, DataError, LabelledPhoto, Photo


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
