"""Files that are complete or absent: written beside their place, then renamed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


class AtomicFile:
    """A text file in UTF-8 that `commit` puts in place; without it, nothing changes.

    mode: its permissions; those of the file that it replaces, or the default ones, if not given.

    What is not a regular file, such as a pipe, is written to directly. Raises OSError at once if
    it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], mode: int | None = None) -> None:
        self._path = Path(path).resolve()  # a link stays a link
        status = self._path.stat() if self._path.exists() else None
        self._temporary: Path | None = None
        if status is None or not _is_stream(status):
            self._temporary = _beside(self._path)
        if mode is None and status is not None:
            mode = stat.S_IMODE(status.st_mode)
        target = self._temporary or self._path
        # surrogateescape: file names that are not UTF-8 come out as they went in
        self._file: IO[str] = target.open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        )
        if self._temporary is not None and mode is not None:
            self._temporary.chmod(mode)

    def write(self, text: str) -> None:
        self._file.write(text)

    def commit(self) -> None:
        """Put what has been written in place."""
        self._file.close()
        if self._temporary is not None:
            self._temporary.replace(self._path)
            self._temporary = None

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.close()
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink()


@contextmanager
def put_in_place(path: Path) -> Iterator[Path]:
    """A path to write a file at, which is renamed to ``path`` at the end."""
    temporary = _beside(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _is_stream(status: os.stat_result) -> bool:
    return not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode)


def _beside(path: Path) -> Path:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
