"""Photos with their boxes drawn, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path, PurePath
from typing import Any

from boxport_client import DetectionResult, PhotoError
from boxport_client._folder import FORMAT_OF
from boxport_client.cli._atomic_file import put_in_place
from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._outputs import Output
from boxport_client.cli._sources import Source

# The formats in which pictures are written, by their names' suffixes; other photos become PNGs.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 92},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 90},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
}


class DrawnPictures(Output[DetectionResult]):
    """Draws every photo that has a result into ``folder``, under the photo's name.

    Raises CommandError if one of the pictures would replace a photo, and OSError.
    """

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        self._places = places(folder, sources)
        folder.mkdir(parents=True, exist_ok=True)

    def answered(self, source: Source, result: DetectionResult) -> None:
        place = self._places[source.name]
        place.parent.mkdir(parents=True, exist_ok=True)
        kind = FORMAT_OF[place.suffix.lower()]
        try:
            picture = result.draw(source.photo)
            with put_in_place(place) as path:
                picture.save(path, kind, **SAVE_OPTIONS[kind])
        except ValueError as error:  # the photo has changed since it was sent
            raise PhotoError(f"{source.name}: cannot be drawn: {error}") from error
        except OSError as error:
            if error.errno is not None:
                raise
            # Pillow's, for a picture that the format cannot hold
            raise PhotoError(f"{source.name}: cannot be drawn: {error}") from error


def places(folder: Path, sources: Sequence[Source]) -> dict[str, Path]:
    """The picture's path for each source, by the source's name; no two are the same.

    Raises CommandError if a photo lies there, or is fetched by the service.
    """
    taken: set[str] = set()
    found: dict[str, Path] = {}
    photos = _identities(source.path for source in sources)
    for source in sources:
        if source.path is None and isinstance(source.photo, str):
            raise CommandError(
                f"--save: {source.name} is fetched by the service; download it first"
            )
        place = folder / _free(_inside(source.inner), taken)
        if _identities([place]) & photos:
            raise CommandError(f"--save: {place} is one of the photos; name another folder")
        found[source.name] = place
    return found


def _inside(inner: PurePath) -> PurePath:
    """``inner`` with a suffix that pictures are written by; never a way out of the folder."""
    name = PurePath(*(part for part in inner.parts if part not in ("..", inner.anchor)))
    return name if FORMAT_OF.get(name.suffix.lower()) in SAVE_OPTIONS else name.with_suffix(".png")


def _free(wanted: PurePath, taken: set[str]) -> PurePath:
    """``wanted``, numbered if it is taken, also where the file system ignores case."""
    numbered = (wanted.with_name(f"{wanted.stem}-{n}{wanted.suffix}") for n in count(2))
    name = wanted
    while str(name).casefold() in taken:
        name = next(numbered)
    taken.add(str(name).casefold())
    return name


def _identities(paths: Iterable[Path | None]) -> set[tuple[int, int]]:
    """Device and inode of the files: several paths may lead to one."""
    found = set()
    for path in paths:
        if path is not None:
            try:
                status = path.stat()
            except (OSError, ValueError):
                continue
            found.add((status.st_dev, status.st_ino))
    return found
