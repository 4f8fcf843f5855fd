"""Checking, before training, that photos can be read and have the annotated size."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from models.datasets.content import ClassFolders, Content, Fault, LabelledPhoto, Photo
from models.datasets.files import fault_of
from service.imaging.files import UnreadablePhoto, read_image

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
    try:
        image = read_image(photo.path)
    except UnreadablePhoto as error:
        return fault_of(photo.path, error)
    if isinstance(photo, LabelledPhoto):
        return None
    return size_fault(photo, image.size)


def size_fault(photo: Photo, size: tuple[int, int]) -> Fault | None:
    """What is wrong with the size that annotations state, of a photo of ``size``, upright."""
    stated = photo.width, photo.height
    if stated == size:
        return None
    width, height = size
    message = (
        f"has {width} x {height} pixels, upright; the annotations say {stated[0]} x {stated[1]}"
    )
    if stated == (height, width):
        message += ": as it is stored, which its EXIF turns by a quarter"
        return Fault(str(photo.path), "stored size", message)
    return Fault(str(photo.path), "wrong size", message)
