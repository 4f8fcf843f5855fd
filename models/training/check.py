"""Are the photos of a data set what its annotations say? To be known before training starts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from models.training.annotations import Annotations, ClassFolders, Fault
from service.imaging.files import MAX_PIXELS
from service.imaging.images import decode_image
from service.imaging.resize import Size
from service.problems import Problem

OnProgress = Callable[[int, int], None]  # of how many photos are done, and how many there are


def check_photos(
    annotations: Annotations, on_progress: OnProgress
) -> tuple[Annotations, list[Fault]]:
    """Decode every photo, and leave out those that cannot be or have another size than they should.

    Where a photo's EXIF turns it, its size is that of the photo upright, as the service sees it.
    """
    photos = annotations.photos
    found = _check([(photo.path, (photo.width, photo.height)) for photo in photos], on_progress)
    good = tuple(p for p, fault in zip(photos, found, strict=True) if fault is None)
    return replace(annotations, photos=good), [fault for fault in found if fault]


def check_class_photos(
    folders: ClassFolders, on_progress: OnProgress
) -> tuple[ClassFolders, list[Fault]]:
    """Decode every photo, and leave out those that cannot be; a class that loses all is a fault."""
    photos = folders.photos
    found = _check([(photo.path, None) for photo in photos], on_progress)
    good = tuple(p for p, fault in zip(photos, found, strict=True) if fault is None)
    faults = [fault for fault in found if fault]
    for label in sorted({p.label for p in photos} - {p.label for p in good}):
        name = folders.categories[label][1]
        faults.append(Fault(f"class {name}", "empty class", "none of its photos can be read"))
    return replace(folders, photos=good), faults


def _check(jobs: list[tuple[Path, Size | None]], on_progress: OnProgress) -> list[Fault | None]:
    """What is wrong with each photo, in order. Threads do, since Pillow decodes without the GIL."""
    found: list[Fault | None] = []
    with ThreadPoolExecutor() as pool:
        for fault in pool.map(lambda job: _fault_of(*job), jobs):
            found.append(fault)
            on_progress(len(found), len(jobs))
    return found


def _fault_of(path: Path, size: Size | None) -> Fault | None:
    try:
        image = decode_image(path.read_bytes(), MAX_PIXELS)
    except OSError as error:
        return Fault(str(path), "missing photo", str(error.strerror))
    except Problem as problem:
        return Fault(str(path), "unreadable photo", problem.detail)
    if size is None or image.size == size:
        return None
    actual, stated = (f"{width} x {height}" for width, height in (image.size, size))
    message = f"has {actual} pixels, upright; the annotations say {stated}"
    return Fault(str(path), "wrong size", message)
