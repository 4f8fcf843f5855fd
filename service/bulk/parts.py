"""The results: a folder of Parquet files, one for each shard, each complete or absent.

    part-00000.parquet, part-00001.parquet, …   a row for each photo, in the order of the photos
    _job.json                                   the job (`service.bulk.job`)
    _SUCCESS                                    written once all parts are there

Readers of Parquet folders skip files whose names begin with an underscore or a dot.
"""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.bulk.attempts import SUFFIX
from service.bulk.errors import BulkError
from service.bulk.folder import PARTIAL, Folder
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from service.terminal import one_line

READERS = 16  # threads that read footers
FAILED = b"boxport.failed"  # key of a part's metadata: how many of its photos have an error
DONE_FILE = "_SUCCESS"

DETECTION = pa.struct(
    [
        ("box", pa.list_(pa.float64())),  # left, top, right, bottom
        ("score", pa.float64()),
        ("label", pa.string()),
        ("label_id", pa.int64()),
    ]
)
CONTOUR = pa.field("contour", pa.list_(pa.list_(pa.float64())))  # x, y of each vertex
CLASSIFICATION = pa.struct(
    [("label", pa.string()), ("label_id", pa.int64()), ("score", pa.float64())]
)
CLASSES = pa.field("classifications", pa.list_(CLASSIFICATION))
REGION = pa.struct([DETECTION.field("box"), CLASSES])


@dataclass(frozen=True)
class Count:
    """photos: with a row. failed: of these, how many have an error instead of an answer."""

    photos: int = 0
    failed: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.photos + other.photos, self.failed + other.failed)


def results_of(parameters: RequestParameters, outlines: bool) -> pa.Field:
    """The column of what ``parameters`` ask for, as an HTTP reply has it."""
    more = [CONTOUR] if outlines else []
    match parameters:
        case DetectParameters(then=None):
            return pa.field("detections", pa.list_(pa.struct([*DETECTION, *more])))
        case DetectParameters():
            return pa.field("detections", pa.list_(pa.struct([*DETECTION, *more, CLASSES])))
        case ClassifyParameters(regions=None):
            return CLASSES
        case _:
            return pa.field("regions", pa.list_(REGION))


def schema_of(parameters: RequestParameters, outlines: bool = False) -> pa.Schema:
    """The schema of a part; ``outlines``: whether detections may have these. In a row with an
    ``error``, size and results are null."""
    return pa.schema(
        [
            pa.field("number", pa.int64(), nullable=False),
            pa.field("photo", pa.string(), nullable=False),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            results_of(parameters, outlines),
            *([pa.field("novelty", pa.float64())] if parameters.wants_novelty else ()),
            pa.field("error", pa.struct([("code", pa.string()), ("detail", pa.string())])),
        ]
    )


@dataclass(frozen=True)
class Parts:
    """The results in ``folder`` of ``total`` photos, in shards of ``shard_size``; ``outlines``:
    whether detections may have these."""

    folder: Folder
    total: int
    shard_size: int
    outlines: bool = False

    @property
    def shards(self) -> int:
        return -(-self.total // self.shard_size)

    def name(self, shard: int) -> str:
        digits = max(5, len(str(self.shards - 1)))
        return f"part-{shard:0{digits}}.parquet"

    def size(self, shard: int) -> int:
        """Photos of a shard; the last may have fewer."""
        return min(self.shard_size, self.total - shard * self.shard_size)

    def missing(self) -> list[int]:
        """The shards that have no part yet; raises OSError."""
        there = self.folder.names()
        return [shard for shard in range(self.shards) if self.name(shard) not in there]

    def write(
        self, shard: int, parameters: RequestParameters, rows: Sequence[dict[str, Any]]
    ) -> Count:
        """Write a part, in place of one that is there; what it holds. Raises OSError."""
        count = Count(len(rows), sum(row["error"] is not None for row in rows))
        schema = schema_of(parameters, self.outlines).with_metadata({FAILED: str(count.failed)})
        table = pa.Table.from_pylist(list(rows), schema=schema)
        with self.folder.write(self.name(shard)) as file:
            pq.write_table(table, file, compression="zstd")
        return count

    def count(self, shards: Sequence[int]) -> Count:
        """What the parts of ``shards`` hold; raises BulkError for a damaged one."""
        with ThreadPoolExecutor(READERS) as pool:
            return sum(pool.map(self.count_one, shards), Count())

    def count_one(self, shard: int) -> Count:
        with self._open(shard) as file:
            photos = file.metadata.num_rows
            failed = int((file.schema_arrow.metadata or {}).get(FAILED, -1))
        if photos != self.size(shard) or failed < 0:
            raise self._damaged(shard, f"has {photos} rows of {self.size(shard)}")
        return Count(photos, failed)

    def rows(self, columns: list[str]) -> Iterator[dict[str, Any]]:
        """The rows of all parts, in order; raises BulkError for a damaged part."""
        for shard in range(self.shards):
            with self._open(shard) as file:
                yield from file.read(columns=columns).to_pylist()

    def finish(self) -> None:
        """Mark the results as complete, and remove what dead actors left half-written."""
        with self.folder.write(DONE_FILE):
            pass
        for name in self.folder.names():
            if name.startswith(".") and name.endswith((PARTIAL, SUFFIX)):
                self.folder.remove(name)

    @contextlib.contextmanager
    def _open(self, shard: int) -> Iterator[pq.ParquetFile]:
        try:
            with self.folder.open(self.name(shard)) as opened:
                yield pq.ParquetFile(opened)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(shard, one_line(error)) from error

    def _damaged(self, shard: int, reason: str) -> BulkError:
        return BulkError(
            f"{self.folder.uri}: {self.name(shard)}: {reason}; delete this file and run the same"
            " command again: only its photos are answered again"
        )
