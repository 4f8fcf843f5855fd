"""Files that are whole or not there: written aside, then put in place at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO


class AtomicFile:
    """A text file, in UTF-8, that is put in place by `commit`. Without one, nothing changes.

    mode: its permissions; those of the file that it replaces, or the usual ones, if not given.

    What is no regular file, such as a pipe, is written to directly. Raises OSError at once where it
    cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], mode: int | None = None) -> None:
        self._path = Path(path).resolve()  # a link stays one
        status = self._path.stat() if self._path.exists() else None
        self._aside: Path | None = None
        if status is None or not _is_stream(status):
            self._aside = _beside(self._path)
        if mode is None and status is not None:
            mode = stat.S_IMODE(status.st_mode)
        target = self._aside or self._path
        self._file: IO[str] = target.open(  # what names of files hold comes out as it went in
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        )
        if self._aside is not None and mode is not None:
            self._aside.chmod(mode)

    def write(self, text: str) -> None:
        self._file.write(text)

    def commit(self) -> None:
        """Put it in place, as far as it is written."""
        self._file.close()
        if self._aside is not None:
            self._aside.replace(self._path)
            self._aside = None

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._file.close()
        if self._aside is not None:
            with suppress(OSError):
                self._aside.unlink()


@contextmanager
def put_in_place(path: Path) -> Iterator[Path]:
    """A path to write a file at, which becomes ``path`` once that is done."""
    aside = _beside(path)
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def _is_stream(status: os.stat_result) -> bool:
    return not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode)


def _beside(path: Path) -> Path:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
