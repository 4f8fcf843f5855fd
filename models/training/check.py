"""Checking, before training, that photos can be read and have the annotated size."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from models.training.annotations.content import (
    Annotations,
    ClassFolders,
    Fault,
    LabelledPhoto,
    Photo,
)
from service.imaging.files import UnreadablePhoto, read_image

Content = TypeVar("Content", Annotations, ClassFolders)
OnProgress = Callable[[int, int], None]  # of how many photos are done, and how many there are


def check_photos(content: Content, on_progress: OnProgress) -> tuple[Content, list[Fault]]:
    """Decode every photo, and leave out those that cannot be or have another size than they should.

    Where a photo's EXIF turns it, its size is that of the photo upright, as the service sees it. A
    class folder that loses all its photos is a fault as well.
    """
    found: list[Fault | None] = []
    with ThreadPoolExecutor() as pool:  # threads suffice: Pillow decodes without the GIL
        for fault in pool.map(_fault_of, content.photos):
            found.append(fault)
            on_progress(len(found), len(content.photos))
    good = tuple(p for p, fault in zip(content.photos, found, strict=True) if fault is None)
    faults = [fault for fault in found if fault]
    if isinstance(content, ClassFolders):
        for label in sorted({p.label for p in content.photos} - {p.label for p in good}):
            name = content.categories[label][1]
            faults.append(Fault(f"class {name}", "empty class", "none of its photos can be read"))
    return replace(content, photos=good), faults


def _fault_of(photo: Photo | LabelledPhoto) -> Fault | None:
    where = str(photo.path)
    try:
        image = read_image(photo.path)
    except UnreadablePhoto as error:
        return Fault(where, "missing photo" if error.missing else "unreadable photo", error.reason)
    if isinstance(photo, LabelledPhoto) or image.size == (photo.width, photo.height):
        return None
    actual = f"{image.width} x {image.height}"
    message = f"has {actual} pixels, upright; the annotations say {photo.width} x {photo.height}"
    return Fault(where, "wrong size", message)
