"""The photos that a command line names."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from boxport_client import PhotoError, photos_in
from boxport_client._folder import FORMAT_OF
from boxport_client._photos import is_url
from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._terminal import counted, say

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One photo.

    name: as it was written, or as it was found in a folder.
    inner: its path inside that folder, or its own name: the name of a file made from it.
    photo: what the client takes.
    """

    name: str
    inner: PurePath
    photo: str | bytes

    @property
    def path(self) -> Path | None:
        """Its path, if it is a file."""
        return None if isinstance(self.photo, bytes) or is_url(self.photo) else Path(self.photo)


def find_sources(names: Iterable[str], leave_out: Path | None = None) -> list[Source]:
    """The photos behind ``names``, each once, in their order; those of a folder sorted.

    leave_out: a folder inside the given ones whose photos are not meant.

    A missing file is included, and fails later with the others. Says on stderr how many other files
    folders and globs have. Raises CommandError for a folder or a glob without a photo.
    """
    finder = _Finder(leave_out)
    found: dict[str, Source] = {}
    for name in names:
        for source in finder.find(name):
            path = source.path
            found.setdefault(source.name if path is None else str(path.absolute()), source)
    if finder.passed_over:
        number = counted(len(finder.passed_over), "file")
        say(f"passed over {number}: {_by_suffix(finder.passed_over)}")
    return list(found.values())


class _Finder:
    """Finds the photos behind names, and notes the other files of folders in ``passed_over``."""

    def __init__(self, leave_out: Path | None) -> None:
        self._leave_out = None if leave_out is None else leave_out.resolve()
        self.passed_over: set[Path] = set()

    def find(self, name: str) -> Iterable[Source]:
        if name == STDIN:
            return [Source(STDIN, PurePath("stdin"), _read_stdin())]
        if is_url(name):
            last = PurePath(unquote(urlsplit(name).path)).name
            return [Source(name, PurePath(last or "photo"), name)]
        if Path(name).is_dir():
            paths = self._in_folder(name)
            if not paths:
                suffixes = ", ".join(FORMAT_OF)
                raise CommandError(f"{name}: has no photo; photos end in {suffixes}")
            return [Source(str(path), path.relative_to(name), str(path)) for path in paths]
        if glob.has_magic(name) and not Path(name).exists():
            return self._matching(name)
        return [Source(name, PurePath(PurePath(name).name), name)]

    def _in_folder(self, folder: str) -> list[Path]:
        try:
            photos = photos_in(folder)
        except PhotoError as error:
            raise CommandError(str(error)) from error
        left_out = self._leave_out
        if left_out is None or Path(folder).resolve() not in left_out.parents:
            self.passed_over.update(map(Path.absolute, photos.passed_over))
            return list(photos)

        def is_meant(path: Path) -> bool:
            return left_out not in path.resolve().parents

        self.passed_over.update(map(Path.absolute, filter(is_meant, photos.passed_over)))
        return list(filter(is_meant, photos))

    def _matching(self, pattern: str) -> list[Source]:
        """As a shell expands it, with ** for folders in folders. A pattern without a suffix, such
        as album/*, means photos only."""
        takes_all = PurePath(pattern).suffix != ""
        fixed = _fixed_part(pattern)
        names: list[str] = []
        # pathlib would take hidden files too
        for name in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207
            if Path(name).is_dir():
                with suppress(CommandError):  # a folder that cannot be read
                    names += map(str, self._in_folder(name))
            elif takes_all or PurePath(name).suffix.lower() in FORMAT_OF:
                names.append(name)
            else:
                self.passed_over.add(Path(name).absolute())
        if not names:
            raise CommandError(f"{pattern}: matches no photo")
        return [Source(name, PurePath(os.path.relpath(name, fixed)), name) for name in names]


def _fixed_part(pattern: str) -> str:
    """The folder that a pattern begins with, before its first wildcard."""
    parts = PurePath(pattern).parts
    return str(PurePath(*takewhile(lambda part: not glob.has_magic(part), parts)))


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise CommandError("- takes a photo from standard input: boxport detect - < cat.jpg")
    return sys.stdin.buffer.read()


def _by_suffix(files: Iterable[Path]) -> str:
    """ "3 .txt, 1 .mov", the most frequent first."""
    numbers = Counter(path.suffix.lower() or "without a suffix" for path in files)
    return ", ".join(f"{number} {suffix}" for suffix, number in numbers.most_common())
