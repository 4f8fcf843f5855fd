"""The answers that a run over many photos has so far, so that it can be resumed.

A journal is a file of JSON lines. The first has the run's parameters; each further one has a
photo's key and its answer, and is written when the answer comes. Failures are not written: those
photos are tried again. A run that is killed leaves at most its last line incomplete, which is then
dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from boxport_client._errors import JournalError, PhotoError
from boxport_client._photos import Photo, is_url

VERSION = 1
FIRST_WORDS = b'{"boxport_journal":'


class Journal:
    """The journal in the file ``path``, which is created if it is missing.

    parameters: those of the run; a journal of others is refused, since its answers differ.
    folder: makes the keys of the photos in it relative to it, so that it may be moved.

    Answers stay in the file: only their offsets are kept in memory. Safe for several threads, not
    for several runs at once. Raises JournalError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        parameters: Mapping[str, Any],
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self._path, self._folder = Path(path), folder
        self._offsets: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._file: IO[bytes] | None = None
        try:
            with self._open() as file:
                self._read(file, parameters)
        except OSError as error:
            raise _failed(self._path, error) from error

    def key(self, photo: Photo) -> str:
        """The photo's key: of a file its path, size and time of change, so that a changed file is
        sent again; of bytes their SHA-256; of a URL itself.

        Raises PhotoError for those that cannot be recognised later, such as images in memory.
        """
        if is_url(photo):
            return str(photo)
        if isinstance(photo, (bytes, bytearray, memoryview)):
            return f"sha256:{hashlib.sha256(photo).hexdigest()}"
        if not isinstance(photo, (str, os.PathLike)):
            raise PhotoError(
                "a journal takes photos that are files, bytes or URLs:"
                f" a {type(photo).__name__} could not be recognised in the next run"
            )
        name = os.fspath(photo)
        if self._folder is not None:
            name = os.path.relpath(name, self._folder)
        with suppress(OSError, ValueError):  # a missing file fails when it is read
            status = Path(photo).stat()
            return f"{Path(name).as_posix()} {status.st_size} {status.st_mtime_ns}"
        return Path(name).as_posix()

    def answer(self, key: str) -> Mapping[str, Any] | None:
        """The answer on the photo with this key, if there is one."""
        offset = self._offsets.get(key)
        if offset is None:
            return None
        with self._lock:
            try:
                file = self._kept_open()
                file.seek(offset)
                result: Mapping[str, Any] = json.loads(file.readline())["result"]
            except (OSError, ValueError, KeyError) as error:
                raise JournalError(f"{self._path}: was changed by another program") from error
        return result

    def write(self, key: str, result: Mapping[str, Any]) -> None:
        """Add an answer; once this returns, it survives the end of this process."""
        line = _line({"photo": key, "result": result})
        with self._lock:
            if self._closed:
                return  # the run is over; answers that come now are requested again
            try:
                file = self._kept_open()
                offset = file.seek(0, os.SEEK_END)
                file.write(line)
                file.flush()
            except OSError as error:
                raise _failed(self._path, error) from error
            self._offsets[key] = offset

    def close(self) -> None:
        """Close the file: nothing can be read or written any more."""
        with self._lock, suppress(OSError):  # write() has raised it already
            self._closed = True
            if self._file is not None:
                self._file.close()

    def _open(self) -> IO[bytes]:
        return self._path.open("a+b")  # append: writes go to the end wherever was read last

    def _kept_open(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._open()
        return self._file

    def _read(self, file: IO[bytes], parameters: Mapping[str, Any]) -> None:
        file.seek(0)
        first = file.readline()
        if not first.endswith(b"\n"):  # new, or killed within its first line
            if first != FIRST_WORDS[: len(first)] and not first.startswith(FIRST_WORDS):
                raise JournalError(f"{self._path}: is not a journal; give another path")
            file.truncate(0)
            file.write(_line({"boxport_journal": VERSION, "asked": parameters}))
            return
        _check_first_line(self._path, first, parameters)
        offset = file.tell()
        for number, line in enumerate(file, start=2):
            if not line.endswith(b"\n"):
                file.truncate(offset)
                break
            try:
                self._offsets[json.loads(line)["photo"]] = offset
            except (ValueError, KeyError, TypeError):
                raise JournalError(f"{self._path}: line {number} is damaged; delete it") from None
            offset += len(line)


def check_head(path: str | os.PathLike[str], parameters: Mapping[str, Any]) -> None:
    """Raise JournalError if the file at ``path`` cannot be the journal of a run with these
    parameters, as far as its first line tells."""
    try:
        with Path(path).open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed(Path(path), error) from error
    if first.endswith(b"\n"):
        _check_first_line(Path(path), first, parameters)


def _check_first_line(path: Path, first: bytes, parameters: Mapping[str, Any]) -> None:
    try:
        head = json.loads(first)
        version, written = head["boxport_journal"], head["asked"]
    except (ValueError, KeyError, TypeError):
        raise JournalError(f"{path}: is not a journal; give another path") from None
    if version != VERSION:
        raise JournalError(f"{path}: is a journal of version {version}, not {VERSION}")
    if written != parameters:
        raise JournalError(
            f"{path}: is the journal of a run with other parameters,"
            f" {json.dumps(written)}, not {json.dumps(parameters)}: give another path"
        )


def _failed(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: {error.strerror or error}")


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
