"""The photos that a command line names."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from boxport_client.cli.endings import Refused
from boxport_client.errors import PhotoError
from boxport_client.folder import SUFFIXES, photos_in
from boxport_client.photos import is_url

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """A photo that is named.

    name: as it was written, or as it was found in a folder.
    inner: its path inside that folder, or its own name: what a file made of it is called.
    photo: what the client takes.
    """

    name: str
    inner: PurePath
    photo: str | bytes

    @property
    def path(self) -> Path | None:
        """Where it is, if it is a file."""
        return None if isinstance(self.photo, bytes) or is_url(self.photo) else Path(self.photo)


def find_sources(names: Iterable[str], leave_out: Path | None = None) -> list[Source]:
    """The photos behind ``names``, each once, in their order; those of a folder sorted.

    leave_out: a folder inside the given ones whose photos are not meant.

    A file that is missing is given as well: what became of it is told with the others. Raises
    Refused for a folder or a glob that has no photo.
    """
    found: dict[str, Source] = {}
    for name in names:
        for source in _behind(name, leave_out):
            path = source.path
            found.setdefault(source.name if path is None else str(path.absolute()), source)
    return list(found.values())


def _behind(name: str, leave_out: Path | None) -> Iterable[Source]:
    if name == STDIN:
        return [Source(STDIN, PurePath("stdin"), _read_stdin())]
    if is_url(name):
        last = PurePath(unquote(urlsplit(name).path)).name
        return [Source(name, PurePath(last or "photo"), name)]
    if Path(name).is_dir():
        return _in_folder(name, leave_out)
    if glob.has_magic(name) and not Path(name).exists():
        return _matching(name, leave_out)
    return [Source(name, PurePath(PurePath(name).name), name)]


def _in_folder(folder: str, leave_out: Path | None) -> list[Source]:
    try:
        paths = photos_in(folder)
    except PhotoError as error:
        raise Refused(str(error)) from error
    if leave_out is not None and Path(folder).resolve() in leave_out.resolve().parents:
        left_out = leave_out.resolve()
        paths = [path for path in paths if left_out not in path.resolve().parents]
    sources = [Source(str(path), path.relative_to(folder), str(path)) for path in paths]
    if not sources:
        raise Refused(f"{folder}: has no photo; photos end in {', '.join(sorted(SUFFIXES))}")
    return sources


def _matching(pattern: str, leave_out: Path | None) -> list[Source]:
    """As the shell would have it, with ** for folders in folders; a * that stands alone means
    photos, and not what else lies beside them."""
    takes_all = not PurePath(pattern).suffix
    fixed = _fixed_part(pattern)
    sources: list[Source] = []
    # pathlib would take hidden files too
    for name in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207
        if Path(name).is_dir():
            sources += _photos_of_match(name, fixed, leave_out)
        elif not takes_all or PurePath(name).suffix.lower() in SUFFIXES:
            sources.append(Source(name, PurePath(os.path.relpath(name, fixed)), name))
    if not sources:
        raise Refused(f"{pattern}: matches no photo")
    return sources


def _photos_of_match(name: str, fixed: str, leave_out: Path | None) -> Iterator[Source]:
    try:
        within = _in_folder(name, leave_out)
    except Refused:
        return
    for source in within:
        yield Source(source.name, PurePath(os.path.relpath(source.name, fixed)), source.photo)


def _fixed_part(pattern: str) -> str:
    """The folder that a pattern begins with, before its first wildcard."""
    parts: list[str] = []
    for part in PurePath(pattern).parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return str(PurePath(*parts))


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise Refused("- takes a photo from standard input: boxport detect - < cat.jpg")
    return sys.stdin.buffer.read()
