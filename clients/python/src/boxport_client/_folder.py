"""The photos of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from boxport_client._errors import PhotoError
from boxport_client._photos import Photo

# The suffixes of image files, by the format as Pillow names it: those that services read, and HEIF,
# which they read if their operator allows it.
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif"),
}
TEXTS = frozenset("OSUT")  # numpy's kinds of objects and texts, such as paths
PHOTOS_DIMENSIONS = 4  # of an array that is several photos
FORMAT_OF = {suffix: name for name, suffixes in SUFFIXES_OF.items() for suffix in suffixes}


@dataclass(frozen=True)
class FolderPhotos:
    """The image files of a folder and of the folders in it; iterates over them.

    paths: sorted; they begin with ``folder``.
    passed_over: the files whose suffix is not that of an image, sorted too.

    Files and folders whose name begins with a dot are in neither.
    """

    folder: str | os.PathLike[str]
    paths: tuple[Path, ...]
    passed_over: tuple[Path, ...]

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def photos_in(folder: str | os.PathLike[str]) -> FolderPhotos:
    """The photos that `Client.detect_many` takes from a folder, and the files that it passes over.

    Raises PhotoError if the folder cannot be read.
    """
    found: list[Path] = []
    passed_over: list[Path] = []

    def refuse(error: OSError) -> None:
        raise PhotoError(f"{error.filename}: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in files if not name.startswith(".")):
            (found if path.suffix.lower() in FORMAT_OF else passed_over).append(path)
    return FolderPhotos(folder, tuple(sorted(found)), tuple(sorted(passed_over)))


def check_photos(given: object) -> None:
    """Raise for what is not several photos, before any is taken.

    TypeError for one photo, of which an array, a file object and bytes could be iterated as well;
    PhotoError for a path that is no folder that can be read.
    """
    if isinstance(given, (str, os.PathLike)):
        if Path(given).is_file():
            raise PhotoError(f"{os.fspath(given)}: is one photo; give a folder, or a list")
        try:
            os.scandir(os.fspath(given)).close()
        except (OSError, ValueError) as error:  # the latter for a name with a zero byte
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise PhotoError(f"{os.fspath(given)}: {words}") from error
    elif is_one_photo(given):
        raise TypeError(f"a {type(given).__name__} is one photo; give a list of photos")
    elif not isinstance(given, Iterable):
        raise TypeError(f"give a folder or an iterable of photos, not {type(given).__name__}")


def is_one_photo(given: object) -> bool:
    """Whether ``given`` is not what it could be iterated as: an image or its bytes.

    An array of numbers is one photo, or none, unless it has a dimension more than an image.
    """
    if isinstance(given, (bytes, bytearray, memoryview, Image.Image)) or hasattr(given, "read"):
        return True
    dimensions = getattr(given, "ndim", PHOTOS_DIMENSIONS)
    kind = getattr(getattr(given, "dtype", None), "kind", None)
    return dimensions < PHOTOS_DIMENSIONS and kind not in TEXTS


def photos_of(given: Iterable[Photo] | str | os.PathLike[str]) -> Iterable[Photo]:
    """The photos of a folder, or those that are given one by one; raises PhotoError."""
    return photos_in(given) if isinstance(given, (str, os.PathLike)) else given
