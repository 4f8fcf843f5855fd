"""Finding the photos that annotations name, whose paths are often those of another machine."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path, PurePosixPath

from models.datasets.content import Fault
from service.imaging.files import UnreadablePhoto, read_size, visible_files
from service.imaging.formats import SUFFIXES

Size = tuple[int, int]  # width and height in pixels, upright
PART = 64  # photos that a thread reads in a row


class PhotoFinder:
    """Looks for photos in ``folders``, the likeliest first."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [folder for folder in folders if folder.is_dir()] or [folders[-1]]

    def find(self, name: str) -> Path:
        """The photo that a file calls ``name``: by its whole path, or by the end of it, for a path
        of another machine, Windows among them. Where there is none, where it should be."""
        parts = PurePosixPath(re.sub(r"^[A-Za-z]:", "", name).replace("\\", "/")).parts
        for start in range(len(parts)):
            for folder in self.folders:
                path = folder.joinpath(*parts[start:])
                if path.is_file():
                    return path
        return self.folders[0] / name


class PhotosByStem:
    """The photos below ``folder``, by their path without its suffix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = list(photos_below(folder))
        self._paths = {path.stem: path for path in reversed(self.photos)}
        self._paths |= {_stem_path(path, folder): path for path in self.photos}

    def find(self, name: str) -> Path:
        """The photo at the path ``name``, without a suffix; else one of this name in any folder;
        else where it should be."""
        found = self._paths.get(name) or self._paths.get(PurePosixPath(name).name)
        return found or self.folder / f"{name}.jpg"

    def note_others(self, named: Iterable[Path]) -> tuple[str, ...]:
        """A sentence on the photos that are not ``named``, if there are any."""
        others = set(self.photos).difference(named)
        sentence = f"{self.folder}: passed over {count_of(others, 'photo')} without annotations"
        return (sentence,) if others else ()


def _stem_path(path: Path, folder: Path) -> str:
    """The path of a file below ``folder``, without its suffix. Paths' own methods are slow."""
    return os.path.splitext(path)[0][len(str(folder)) + 1 :]  # noqa: PTH122


def photos_below(folder: Path) -> Iterator[Path]:
    """The photos in and below ``folder``, by their suffixes."""
    return (path for path in visible_files(folder) if path.suffix.lower() in SUFFIXES)


def names_below(folder: Path, suffix: str) -> list[str]:
    """The files of one suffix, as their paths below ``folder`` without it."""
    paths = [path for path in visible_files(folder) if path.suffix.lower() == suffix]
    return [_stem_path(path, folder) for path in paths]


def read_sizes(photos: Sequence[Path], faults: list[Fault]) -> Iterator[tuple[Path, Size | None]]:
    """Each photo with its size, from its header; None for one that is a fault."""
    parts = [photos[start : start + PART] for start in range(0, len(photos), PART)]
    with ThreadPoolExecutor() as pool:  # threads suffice: what takes time is waiting for the disk
        sizes = pool.map(lambda part: [_size_of(path) for path in part], parts)
        for path, size in zip(photos, chain.from_iterable(sizes), strict=True):
            if isinstance(size, Fault):
                faults.append(size)
                yield path, None
            else:
                yield path, size


def _size_of(path: Path) -> Size | Fault:
    try:
        return read_size(path)
    except UnreadablePhoto as error:
        return fault_of(path, error)


def fault_of(path: Path, error: UnreadablePhoto) -> Fault:
    return Fault(str(path), "missing photo" if error.missing else "unreadable photo", error.reason)


def stable_id(name: str) -> int:
    """A number that only ``name`` decides, of 48 bits so that every reader of JSON keeps it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


def count_of(items: Iterable[object], one: str) -> str:
    """Such as "1 file" or "3 files"."""
    number = sum(1 for _ in items)
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
