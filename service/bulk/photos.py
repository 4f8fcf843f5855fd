"""The photos of a job, in an order that is the same whenever the job is begun again.

They are numbered from 0 and cut into shards, each of which one actor answers at a time: the files
of a folder here, the rows of Parquet files in `service.bulk.tables`.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pyarrow import fs

from service.bulk.faults import BulkError
from service.bulk.folder import Folder, Found
from service.problems import Problem

LEAST_SHARD, MOST_SHARD = 16, 256  # photos
SHARDS = 64  # into which a job of middling size is cut, so that the last actors end together


@dataclass(frozen=True)
class Photo:
    """name: that its row of the results has. read: gives the bytes of its file; may be called
    from any thread. Raises OSError if they are not to be had, Problem if they are too many."""

    name: str
    read: Callable[[], bytes]


class Shard(Protocol):
    """Goes to the actor that answers it.

    number: of the shard. first: number of its first photo. size: how many photos it has.
    """

    @property
    def number(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def size(self) -> int: ...

    def photos(self, max_bytes: int) -> list[Photo]:
        """In order; ``max_bytes`` is what a photo's file may have at most.

        Raises BulkError or OSError if none of them can be had.
        """


class Listing(Protocol):
    """uri: as it was given. digest: SHA-256 of what tells these photos from others."""

    @property
    def uri(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def __len__(self) -> int: ...
    def shard(self, number: int, size: int) -> Shard:
        """The shard with this number, of shards of ``size`` photos."""


def shard_size(photos: int) -> int:
    """Of a job: large shards cost less each, small ones spread better over actors."""
    return min(MOST_SHARD, max(LEAST_SHARD, photos // SHARDS))


@dataclass(frozen=True)
class FolderShard:
    number: int
    first: int
    folder: Folder
    files: tuple[Found, ...]

    @property
    def size(self) -> int:
        return len(self.files)

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
class FolderListing:
    """The photos among the files of a folder, by their path below it."""

    folder: Folder
    files: tuple[Found, ...]

    @property
    def uri(self) -> str:
        return self.folder.uri

    @property
    def digest(self) -> str:
        return digest_of(f"{file.name}\0{file.size}" for file in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def shard(self, number: int, size: int) -> FolderShard:
        first = number * size
        return FolderShard(number, first, self.folder, self.files[first : first + size])


def read_file(folder: Folder, file: Found, max_bytes: int) -> bytes:
    check_size(file.size, max_bytes)
    return folder.read(file.name)


def check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Problem(
            "body_too_large",
            f"The file has {size} bytes; at most {max_bytes} are read (BOXPORT_MAX_BODY_BYTES).",
        )


def digest_of(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
