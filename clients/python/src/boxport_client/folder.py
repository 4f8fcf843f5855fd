"""The photos of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from boxport_client.errors import PhotoError
from boxport_client.photos import Photo

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"}
    | {".heic", ".heif"}  # where the service has been told to read them
)


def photos_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Its image files and those of the folders in it, sorted; hidden ones are left out.

    Raises PhotoError if it is no folder that can be read.
    """
    found = []

    def refuse(error: OSError) -> None:
        raise PhotoError(f"{error.filename}: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)


def photos_of(given: Iterable[Photo] | str | os.PathLike[str]) -> Iterable[Photo]:
    """The photos of a folder, or those that are given one by one; raises PhotoError."""
    if isinstance(given, (str, os.PathLike)):
        if Path(given).is_file():
            raise PhotoError(
                f"{os.fspath(given)}: is one photo; give a folder, or a list of photos"
            )
        return photos_in(given)
    if isinstance(given, (bytes, bytearray, memoryview)) or not isinstance(given, Iterable):
        raise TypeError(f"give a folder or an iterable of photos, not {type(given).__name__}")
    return given
