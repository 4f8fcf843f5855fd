"""Folders on this machine or in an object store, to read photos from and write results to."""

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import fs

from service.bulk.errors import BulkError
from service.terminal import one_line

PARTIAL = ".partial"  # suffix of a file that is being written
PASSWORD = re.compile(r"(?<=://)[^/@]+(?=@)")  # s3://key:secret@bucket


@dataclass(frozen=True)
class Found:
    """A file: its path below the folder, with slashes, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Folder:
    """uri: as given, without its password. path: within ``system``. It can be pickled."""

    uri: str
    system: fs.FileSystem
    path: str

    @property
    def is_local(self) -> bool:
        return isinstance(self.system, fs.LocalFileSystem)

    def kind(self, name: str = "") -> fs.FileType:
        """Whether ``name`` is a file, a folder or nothing; raises OSError."""
        return self.system.get_file_info(self._to(name)).type

    def size(self, name: str) -> int:
        """The bytes of a file; raises OSError, also if it is not there."""
        info = self.system.get_file_info(self._to(name))
        if not info.is_file:
            raise FileNotFoundError(f"{name}: there is no such file")
        size: int = info.size
        return size

    def find(self) -> list[Found]:
        """All files in and below it, by name, except hidden ones; raises OSError, and BulkError for
        a name that no result could bear."""
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        start = len(self.path.rstrip("/")) + 1
        try:
            found = [
                Found(info.path[start:], info.size)
                for info in self.system.get_file_info(selector)
                if info.is_file
            ]
        except UnicodeDecodeError as error:
            raise BulkError(
                f"{self.uri}: the name {error.object!r} is not in UTF-8; rename the file"
                " (convmv does it for whole folders)"
            ) from None
        shown = [file for file in found if not _is_hidden(file.name)]
        return sorted(shown, key=lambda file: file.name)

    def names(self) -> set[str]:
        """Names of the files directly in it; none if it is not there. Raises OSError."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        return {info.base_name for info in self.system.get_file_info(selector) if info.is_file}

    def read(self, name: str) -> bytes:
        """The content of a file; raises OSError."""
        with self.system.open_input_file(self._to(name)) as file:
            content: bytes = file.read()
            return content

    def open(self, name: str) -> pa.NativeFile:
        """A file, to read parts of it; raises OSError."""
        return self.system.open_input_file(self._to(name))

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        """A file that appears as ``name`` only once all of it is written; raises OSError."""
        if not self.is_local:  # an object appears at once, but also when an error closes it
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                with self.system.open_output_stream(self._to(name)) as stream:
                    shutil.copyfileobj(file, stream)
            return
        target = Path(self.path) / name
        aside = target.with_name(f".{name}.{uuid.uuid4().hex}{PARTIAL}")
        try:
            with aside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # a rename may reach the disk before the content does
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def make(self) -> None:
        """Make the folder and its parents, if they are not there; raises OSError."""
        self.system.create_dir(self.path, recursive=True)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there; raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self.system.delete_file(self._to(name))

    def split(self) -> tuple["Folder", str]:
        """The folder above, and the name in it."""
        above, _, name = self.path.rpartition("/")
        return replace(self, uri=self.uri.rpartition("/")[0] or ".", path=above or "/"), name

    def _to(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name.lstrip('/')}" if name else self.path


def open_folder(uri: str) -> Folder:
    """The folder or file at a path of this machine or at a URI such as s3://bucket/photos.

    Options of an object store are in the URI (?region=…&endpoint_override=…) or where its own tools
    look for them. Raises BulkError if there is no such store.
    """
    if "://" not in uri:
        return Folder(uri, fs.LocalFileSystem(), str(Path(uri).absolute()))
    shown = PASSWORD.sub("***", uri)
    try:
        system, path = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError) as error:
        raise BulkError(f"{shown}: {one_line(error).replace(uri, shown)}") from error
    return Folder(shown, system, path)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
