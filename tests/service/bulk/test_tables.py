"""Photos in Parquet: several files and row groups, in the forms that data sets have."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.bulk.errors import BulkError
from service.bulk.folder import Folder
from service.bulk.listing import list_photos
from service.bulk.photos import Photo
from service.problems import Problem

LIMIT = 1000


def write(path: Path, rows: int, *, first: int = 0, row_group: int = 7) -> None:
    contents = [b"photo %d" % (first + i) for i in range(rows)]
    table = pa.table({"id": list(range(rows)), "image": pa.array(contents, pa.binary())})
    pq.write_table(table, path, row_group_size=row_group)


def photos_of(folder: Path, column: str | None = None, size: int = 16) -> list[list[Photo]]:
    listing = list_photos(str(folder), column)
    numbers = range(-(-len(listing) // size))
    return [listing.shard(number, size).photos(LIMIT) for number in numbers]


def test_rows_of_all_files_are_cut_into_shards_in_order(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 30)
    write(tmp_path / "b.parquet", 0, first=30)
    write(tmp_path / "c.parquet", 25, first=30, row_group=100)
    (tmp_path / "_metadata.parquet").write_bytes(b"no data")
    shards = photos_of(tmp_path)
    assert [len(shard) for shard in shards] == [16, 16, 16, 7]
    flat = [photo for shard in shards for photo in shard]
    assert [photo.read() for photo in flat] == [b"photo %d" % i for i in range(55)]
    assert [photo.name for photo in flat[28:32]] == [
        "a.parquet#28",
        "a.parquet#29",
        "c.parquet#0",
        "c.parquet#1",
    ]


def test_one_file_is_an_input_too(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", 3)
    write(tmp_path / "b.parquet", 3)
    (shard,) = photos_of(tmp_path / "a.parquet")
    assert [photo.name for photo in shard] == ["a.parquet#0", "a.parquet#1", "a.parquet#2"]


@pytest.mark.parametrize("absolute", [False, True])
def test_paths_are_read_from_where_the_table_is(tmp_path: Path, absolute: bool) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"cat")
    paths = [f"{tmp_path}/cat.jpg" if absolute else "cat.jpg", "gone.jpg", f"file://{tmp_path}/x"]
    pq.write_table(pa.table({"path": paths}), tmp_path / "list.parquet")
    ((cat, gone, other),) = photos_of(tmp_path / "list.parquet")
    assert (cat.name, cat.read()) == (paths[0], b"cat")
    for missing in (gone, other):
        with pytest.raises(FileNotFoundError):
            missing.read()


def test_bytes_and_path_of_a_struct_are_content_and_name(tmp_path: Path) -> None:
    rows = [{"bytes": b"cat", "path": "cat.jpg"}, {"bytes": b"dog", "path": None}, None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"photo": pa.array(rows, kind)})
    pq.write_table(table, tmp_path / "set.parquet")
    ((cat, dog, none),) = photos_of(tmp_path, "photo")
    assert [(cat.name, cat.read()), (dog.name, dog.read())] == [
        ("cat.jpg", b"cat"),
        ("set.parquet#1", b"dog"),
    ]
    assert (none.name, none.read()) == ("set.parquet#2", b"")


def test_bytes_over_the_bound_are_this_rows_problem(tmp_path: Path) -> None:
    pq.write_table(pa.table({"bytes": [b"x", b"x" * 1001]}), tmp_path / "set.parquet")
    ((small, large),) = photos_of(tmp_path)
    assert small.read() == b"x"
    with pytest.raises(Problem, match=r"has 1001 bytes"):
        large.read()


def column_of(kind: Any, values: list[Any]) -> pa.Table:
    return pa.table({"image": pa.array(values, kind)})


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        (column_of(pa.int64(), [1]), None, "its column image is int64; photos are binary"),
        (column_of(pa.binary(), [b""]), "photo", "has no column photo; there are image"),
        (pa.table({"url": ["x"]}), None, "has none of the columns image, bytes, path; --column"),
        (column_of(pa.binary(), []), None, "its Parquet files have no row"),
    ],
)
def test_what_has_no_photos_is_told(
    tmp_path: Path, table: pa.Table, column: str | None, words: str
) -> None:
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(BulkError, match=words):
        list_photos(str(tmp_path), column)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, here: Folder) -> None:
    (tmp_path / "set.parquet").write_bytes(b"PAR0")
    with pytest.raises(BulkError, match=r"set.parquet: .*Parquet"):
        list_photos(str(tmp_path), None)


@pytest.mark.parametrize(
    ("names", "given", "words"),
    [
        ([], "", "holds no photo; --input names a folder that does"),
        (["a.jpg", "b.parquet"], "", "holds photos and Parquet files"),
        (["notes.txt"], "notes.txt", "notes.txt: is a file; --input names"),
        ([], "gone", "gone: there is no such folder or file"),
    ],
)
def test_what_is_no_input_is_told(tmp_path: Path, names: list[str], given: str, words: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(BulkError, match=words):
        list_photos(str(tmp_path / given), None)
