"""Photos with their boxes drawn, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path, PurePath
from typing import Any

from boxport_client.cli.atomic_file import put_in_place
from boxport_client.cli.endings import Refused
from boxport_client.cli.sources import Source
from boxport_client.errors import BoxportError, PhotoError
from boxport_client.results import DetectionResult

# How a picture is written that is called so; one that is called otherwise becomes a PNG.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": ("JPEG", {"quality": 92}),
    ".jpeg": ("JPEG", {"quality": 92}),
    ".png": ("PNG", {"compress_level": 1}),
    ".webp": ("WEBP", {"quality": 90}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw"}),
}


class DrawnPictures:
    """Draws every photo that is answered into ``folder``, called as the photo is.

    Raises Refused if one of the pictures would take the place of a photo, and OSError.
    """

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        self._places = places(folder, sources)
        folder.mkdir(parents=True, exist_ok=True)

    def answered(self, source: Source, result: DetectionResult) -> None:
        place = self._places[source.name]
        place.parent.mkdir(parents=True, exist_ok=True)
        kind, options = FORMATS[place.suffix.lower()]
        try:
            picture = result.draw(source.photo)
            with put_in_place(place) as path:
                picture.save(path, kind, **options)
        except ValueError as error:  # a photo that was changed since it was asked about
            raise PhotoError(f"{source.name}: cannot be drawn: {error}") from error
        except OSError as error:
            if error.errno is not None:
                raise
            # Pillow's, of a picture that the format cannot hold
            raise PhotoError(f"{source.name}: cannot be drawn: {error}") from error

    def failed(self, source: Source, error: BoxportError) -> None:
        pass

    def finish(self) -> None:
        pass


def places(folder: Path, sources: Sequence[Source]) -> dict[str, Path]:
    """Where the picture of each source goes, by the source's name; no two in one place.

    Raises Refused if a photo lies there, or has to be fetched by the service.
    """
    taken: set[str] = set()
    found: dict[str, Path] = {}
    photos = _identities(source.path for source in sources)
    for source in sources:
        if source.path is None and isinstance(source.photo, str):
            raise Refused(f"--save: {source.name} is fetched by the service; download it first")
        place = folder / _free(_inside(source.inner), taken)
        if _identities([place]) & photos:
            raise Refused(f"--save: {place} is one of the photos; name another folder")
        found[source.name] = place
    return found


def _inside(inner: PurePath) -> PurePath:
    """With a suffix that pictures are written by; never a way out of the folder."""
    name = PurePath(*(part for part in inner.parts if part not in ("..", inner.anchor)))
    return name if name.suffix.lower() in FORMATS else name.with_suffix(".png")


def _free(wanted: PurePath, taken: set[str]) -> PurePath:
    """``wanted``, or with a number, so that no two are alike even where case does not count."""
    for number in count(1):
        name = wanted if number == 1 else wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        key = str(name).casefold()
        if key not in taken:
            taken.add(key)
            return name
    raise AssertionError("numbers do not end")


def _identities(paths: Iterable[Path | None]) -> set[tuple[int, int]]:
    """What files are, however they are called: several paths may lead to one."""
    found = set()
    for path in paths:
        if path is not None:
            try:
                status = path.stat()
            except (OSError, ValueError):
                continue
            found.add((status.st_dev, status.st_ino))
    return found
