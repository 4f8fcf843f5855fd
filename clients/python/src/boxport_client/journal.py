"""What a run over many photos has been answered so far, so that it can go on after a break.

A journal is a file of JSON lines. The first says what is asked; each further one holds a photo's
key and its answer, and is written when the answer comes. Failures are not written: they are tried
again. Whatever kills the run leaves at most the last line half-written, which is then dropped.
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

from boxport_client.errors import JournalError
from boxport_client.photos import Photo, is_url

VERSION = 1
FIRST_WORDS = b'{"boxport_journal":'


class Journal:
    """The journal in the file ``path``, which is made if it is missing.

    asked: the question; a journal of another one is refused, since its answers are other ones.
    folder: what the keys of photos inside it are relative to, so that it may be moved.

    Answers stay in the file: only where each begins is kept in memory. Safe for several threads,
    not for several runs at once. Raises JournalError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        asked: Mapping[str, Any],
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self._path, self._folder = Path(path), folder
        self._begins: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._file: IO[bytes] | None = None
        try:
            with self._open() as file:
                self._read(file, asked)
        except OSError as error:
            raise self._failed(error) from error

    def key(self, photo: Photo) -> str:
        """What a photo is known by: a file by its path, size and time of change, so that it is
        asked again once it has changed; bytes by their SHA-256; a URL by itself.

        Raises ValueError for photos that cannot be known again, such as pictures in memory.
        """
        if is_url(photo):
            return str(photo)
        if isinstance(photo, (bytes, bytearray, memoryview)):
            return f"sha256:{hashlib.sha256(photo).hexdigest()}"
        if not isinstance(photo, (str, os.PathLike)):
            raise ValueError(
                "a journal is for photos that are files, bytes or URLs:"
                f" a {type(photo).__name__} could not be known again"
            )
        name = os.fspath(photo)
        if self._folder is not None:
            name = os.path.relpath(name, self._folder)
        with suppress(OSError, ValueError):  # what is missing gets its error when it is read
            status = Path(photo).stat()
            return f"{Path(name).as_posix()} {status.st_size} {status.st_mtime_ns}"
        return Path(name).as_posix()

    def answer(self, key: str) -> Mapping[str, Any] | None:
        """The answer on the photo that is known by ``key``, if there is one."""
        begin = self._begins.get(key)
        if begin is None:
            return None
        with self._lock:
            try:
                file = self._kept_open()
                file.seek(begin)
                result: Mapping[str, Any] = json.loads(file.readline())["result"]
            except (OSError, ValueError, KeyError) as error:
                raise JournalError(f"{self._path}: was changed by another program") from error
        return result

    def write(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep an answer. It has left this process when this returns."""
        line = _line({"photo": key, "result": result})
        with self._lock:
            if self._closed:
                return  # the run is over; what was still on its way is asked again
            try:
                file = self._kept_open()
                begin = file.seek(0, os.SEEK_END)
                file.write(line)
                file.flush()
            except OSError as error:
                raise self._failed(error) from error
            self._begins[key] = begin

    def close(self) -> None:
        """Nothing can be read or written any more."""
        with self._lock, suppress(OSError):  # a full disk has been told of already
            self._closed = True
            if self._file is not None:
                self._file.close()

    def _open(self) -> IO[bytes]:
        return self._path.open("a+b")  # every write goes to the end, wherever was read last

    def _kept_open(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._open()
        return self._file

    def _read(self, file: IO[bytes], asked: Mapping[str, Any]) -> None:
        file.seek(0)
        first = file.readline()
        if not first.endswith(b"\n"):  # new, or killed within its first line
            if first != FIRST_WORDS[: len(first)] and not first.startswith(FIRST_WORDS):
                raise JournalError(f"{self._path}: is not a journal; give another path")
            file.truncate(0)
            file.write(_line({"boxport_journal": VERSION, "asked": asked}))
            return
        self._check_head(first, asked)
        begin = file.tell()
        for number, line in enumerate(file, start=2):
            if not line.endswith(b"\n"):
                file.truncate(begin)
                break
            try:
                self._begins[json.loads(line)["photo"]] = begin
            except (ValueError, KeyError, TypeError):
                raise JournalError(f"{self._path}: line {number} is damaged; delete it") from None
            begin += len(line)

    def _check_head(self, first: bytes, asked: Mapping[str, Any]) -> None:
        try:
            head = json.loads(first)
            version, written = head["boxport_journal"], head["asked"]
        except (ValueError, KeyError, TypeError):
            raise JournalError(f"{self._path}: is not a journal; give another path") from None
        if version != VERSION:
            raise JournalError(f"{self._path}: is a journal of version {version}, not {VERSION}")
        if written != asked:
            raise JournalError(
                f"{self._path}: is of another question, {json.dumps(written)};"
                f" this one is {json.dumps(asked)}: give another path"
            )

    def _failed(self, error: OSError) -> JournalError:
        return JournalError(f"{self._path}: {error.strerror or error}")


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
