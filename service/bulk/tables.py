"""Photos in Parquet files: a column with their bytes or their paths."""

import functools
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.bulk.errors import BulkError
from service.bulk.folder import Folder, Found, open_folder
from service.bulk.photos import Listing, Photo, Shard, check_size, digest_of
from service.terminal import one_line

SUFFIX = ".parquet"
COLUMNS = ("image", "bytes", "path")  # by default, the first of these that the files have
READERS = 16  # threads that read footers


@dataclass(frozen=True)
class Table:
    """What the footer of a file says."""

    file: Found
    rows: int
    schema: pa.Schema


@dataclass(frozen=True)
class TableShard(Shard):
    tables: tuple[tuple[str, int, int], ...]  # name, first row, rows
    column: str

    def photos(self, max_bytes: int) -> list[Photo]:
        return [
            to_photo(self.folder, f"{name}#{row}", value, max_bytes)
            for name, first, number in self.tables
            for row, value in enumerate(
                read_rows(self.folder, name, self.column, first, number), start=first
            )
        ]


@dataclass(frozen=True)
class TableListing(Listing):
    """The rows of Parquet files, in the order of the files' names."""

    tables: tuple[Table, ...]
    column: str

    @property
    def digest(self) -> str:
        lines = [f"{table.file.name}\0{table.file.size}\0{table.rows}" for table in self.tables]
        return digest_of([self.column, *lines])

    def __len__(self) -> int:
        return sum(table.rows for table in self.tables)

    def shard(self, number: int, size: int) -> TableShard:
        first = number * size
        stop = min(first + size, len(self))
        return TableShard(
            number, first, stop - first, self.folder, self._pieces(first, stop), self.column
        )

    def _pieces(self, first: int, stop: int) -> tuple[tuple[str, int, int], ...]:
        ends = self._ends
        pieces = []
        while first < stop:
            index = bisect_right(ends, first)
            begin = ends[index] - self.tables[index].rows
            number = min(stop, ends[index]) - first
            pieces.append((self.tables[index].file.name, first - begin, number))
            first += number
        return tuple(pieces)

    @functools.cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(table.rows for table in self.tables))


def list_tables(folder: Folder, files: Sequence[Found], column: str | None) -> TableListing:
    """The rows of ``files``; raises BulkError if one is not Parquet or has no column of photos."""
    with ThreadPoolExecutor(READERS) as pool:
        tables = list(pool.map(functools.partial(_read_footer, folder), files))
    chosen = column or _usual_column(folder, tables[0])
    for table in tables:
        _check_column(f"{folder.uri}: {table.file.name}", table.schema, chosen)
    filled = tuple(table for table in tables if table.rows)
    if not filled:
        raise BulkError(f"{folder.uri}: its Parquet files have no row")
    return TableListing(folder, filled, chosen)


def _read_footer(folder: Folder, file: Found) -> Table:
    try:
        with folder.open(file.name) as opened:
            content = pq.ParquetFile(opened)
            return Table(file, content.metadata.num_rows, content.schema_arrow)
    except (OSError, pa.ArrowException) as error:
        raise BulkError(f"{folder.uri}: {file.name}: {one_line(error)}") from error


def _usual_column(folder: Folder, table: Table) -> str:
    for column in COLUMNS:
        if column in table.schema.names:
            return column
    raise BulkError(
        f"{folder.uri}: {table.file.name}: has none of the columns {', '.join(COLUMNS)}; --column"
        f" names one of {', '.join(table.schema.names)}"
    )


def _check_column(where: str, schema: pa.Schema, column: str) -> None:
    if column not in schema.names:
        raise BulkError(f"{where}: has no column {column}; there are {', '.join(schema.names)}")
    kind = schema.field(column).type
    fits = (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
    )
    if not fits:
        raise BulkError(
            f"{where}: its column {column} is {kind}; photos are binary, a path as string, or a"
            " struct with the field bytes"
        )


def read_rows(folder: Folder, name: str, column: str, first: int, number: int) -> list[Any]:
    """The values of ``number`` rows from ``first`` on; only the row groups that hold them are read.
    Raises OSError."""
    with folder.open(name) as opened:
        file = pq.ParquetFile(opened)
        groups, before, seen = [], 0, 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if seen + rows <= first:
                before = seen + rows
            elif seen < first + number:
                groups.append(group)
            seen += rows
        table = file.read_row_groups(groups, columns=[column])
    values: list[Any] = table.column(column).slice(first - before, number).to_pylist()
    return values


def to_photo(folder: Folder, place: str, value: Any, max_bytes: int) -> Photo:
    """The photo of a cell: its bytes, its path, or a struct of both as data sets have it.

    place: of the row; the photo's name where it has no path.
    """
    if isinstance(value, dict):
        content, path = value["bytes"], value.get("path")
        return Photo(path or place, functools.partial(_give, content or b"", max_bytes))
    if isinstance(value, str):
        return Photo(value, functools.partial(_read_path, folder, value, max_bytes))
    return Photo(place, functools.partial(_give, value or b"", max_bytes))


def _give(content: bytes, max_bytes: int) -> bytes:
    check_size(len(content), max_bytes)
    return content


def _read_path(folder: Folder, path: str, max_bytes: int) -> bytes:
    """A relative path starts at the folder of the Parquet files."""
    name = path.removeprefix("file://")
    if "://" in name:
        scheme, _, rest = name.partition("://")
        rest, mark, query = rest.partition("?")
        bucket, _, name = rest.partition("/")
        folder = _opened(f"{scheme}://{bucket}{mark}{query}")
    elif name.startswith("/"):
        folder = _opened("/")
    check_size(folder.size(name), max_bytes)
    return folder.read(name)


@functools.lru_cache(maxsize=1024)
def _opened(uri: str) -> Folder:
    """Cached: to make a client of an object store takes longer than to read a photo."""
    return open_folder(uri)
