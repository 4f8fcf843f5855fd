"""The photos of a job, in an order that is the same whenever the job is continued.

They are numbered from 0 and cut into shards, each of which one actor answers: the files of a folder
here, the rows of Parquet files in `service.bulk.tables`.
"""

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pyarrow import fs

from service.bulk.errors import BulkError
from service.bulk.folder import Folder, Found
from service.problems import Problem

MIN_SHARD, MAX_SHARD = 16, 256  # photos
SHARDS = 64  # of a job of middling size: enough for all actors to end at about the same time


@dataclass(frozen=True)
class Photo:
    """name: in its row of the results. read: gives the bytes of its file, on any thread; raises
    OSError if they cannot be read, Problem if they are too many."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Shard(ABC):
    """Consecutive photos, pickled for the actor that answers them.

    number: of the shard. first: number of its first photo. size: how many photos it has.
    """

    number: int
    first: int
    size: int
    folder: Folder

    @abstractmethod
    def photos(self, max_bytes: int) -> list[Photo]:
        """In order; ``max_bytes`` bounds the file of a photo.

        Raises BulkError or OSError if none of them can be read.
        """


@dataclass(frozen=True)
class Listing(ABC):
    """All photos of a job, in or below ``folder``."""

    folder: Folder

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256, in hex, of what identifies these photos."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def shard(self, number: int, size: int) -> Shard:
        """The shard with this number, of shards of ``size`` photos."""


def shard_size(photos: int) -> int:
    """Photos of a shard: large ones cost less each, small ones spread better over actors."""
    return min(MAX_SHARD, max(MIN_SHARD, photos // SHARDS))


@dataclass(frozen=True)
class FolderShard(Shard):
    files: tuple[Found, ...]

    def photos(self, max_bytes: int) -> list[Photo]:
        if self.folder.is_local and self.folder.kind() is not fs.FileType.Directory:
            raise BulkError(
                f"{self.folder.uri}: is not there for every node; photos of a job on several"
                " machines lie in a folder that all of them share, or in an object store"
            )
        return [
            Photo(file.name, functools.partial(read_file, self.folder, file, max_bytes))
            for file in self.files
        ]


@dataclass(frozen=True)
class FolderListing(Listing):
    """The photos among the files of a folder, by their path below it."""

    files: tuple[Found, ...]

    @property
    def digest(self) -> str:
        return digest_of(f"{file.name}\0{file.size}" for file in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def shard(self, number: int, size: int) -> FolderShard:
        first = number * size
        files = self.files[first : first + size]
        return FolderShard(number, first, len(files), self.folder, files)


def read_file(folder: Folder, file: Found, max_bytes: int) -> bytes:
    check_size(file.size, max_bytes)
    return folder.read(file.name)


def check_size(size: int, max_bytes: int) -> None:
    """Raise Problem (body_too_large) for a file of more bytes."""
    if size > max_bytes:
        raise Problem(
            "body_too_large",
            f"The file has {size} bytes; at most {max_bytes} are read (BOXPORT_MAX_BODY_BYTES).",
        )


def digest_of(lines: Iterable[str]) -> str:
    """SHA-256 of ``lines``, in hex."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
