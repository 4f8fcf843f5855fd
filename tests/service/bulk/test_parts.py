"""Parts: complete, missing and damaged ones."""

from pathlib import Path
from typing import Any

import pytest

from service.bulk.attempts import Attempts
from service.bulk.errors import BulkError
from service.bulk.folder import Folder
from service.bulk.parts import Count, Parts
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from tests.service.bulk.jobs import rows_of

ERROR = {"code": "invalid_image", "detail": "No."}
CLASS = {"label": "tabby", "label_id": 281, "score": 0.5}
BOX = {"box": [0.5, 1.0, 2.0, 3.25], "score": 0.5, "label": "cat", "label_id": 8}


def row(number: int, *, failed: bool = False) -> dict[str, Any]:
    common = {"number": number, "photo": f"{number}.jpg"}
    if failed:
        return {**common, "error": ERROR}
    return {**common, "error": None, "width": 40, "height": 30, "detections": [BOX] * number}


@pytest.fixture
def parts(here: Folder) -> Parts:
    """Of five photos in shards of two, the first and the last of which are there."""
    made = Parts(here, 5, 2)
    assert made.write(0, DetectParameters(), [row(0), row(1, failed=True)]) == Count(2, 1)
    assert made.write(2, DetectParameters(), [row(4)]) == Count(1, 0)
    return made


def test_what_is_missing_is_known(parts: Parts) -> None:
    assert (parts.shards, parts.missing()) == (3, [1])
    parts.write(1, DetectParameters(), [row(2), row(3)])
    assert parts.missing() == []
    assert parts.count(range(3)) == Count(5, 1)


def test_all_parts_are_one_table_to_whoever_reads_the_folder(parts: Parts, tmp_path: Path) -> None:
    parts.write(1, DetectParameters(), [row(2), row(3)])
    Attempts(parts.folder, 1).begin()
    (tmp_path / ".part-00001.parquet.0.partial").write_bytes(b"half")
    parts.finish()
    found = rows_of(tmp_path)
    empty = {"width": None, "height": None, "detections": None}
    assert found == [row(0), {**empty, **row(1, failed=True)}, row(2), row(3), row(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "_SUCCESS",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]


def test_outlines_are_in_the_parts_of_models_that_find_them(here: Folder, tmp_path: Path) -> None:
    made = Parts(here, 1, 1, outlines=True)
    outlined = {**BOX, "contour": [[1.0, 2.0], [3.0, 4.5], [0.0, 1.0]]}
    made.write(0, DetectParameters(), [{**row(1), "detections": [outlined, BOX]}])
    (written,) = rows_of(tmp_path)
    assert written["detections"] == [outlined, {**BOX, "contour": None}]


def test_a_part_with_too_few_rows_is_told(parts: Parts) -> None:
    parts.write(1, DetectParameters(), [row(2)])
    with pytest.raises(BulkError, match=r"part-00001.parquet: has 1 rows of 2; delete this file"):
        parts.count(range(3))


def test_a_damaged_part_is_told(parts: Parts, tmp_path: Path) -> None:
    with (tmp_path / "part-00002.parquet").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(BulkError, match=r"part-00002.parquet: .*delete this file"):
        parts.count_one(2)


@pytest.mark.parametrize(
    ("parameters", "results"),
    [
        (DetectParameters(then="breeds"), {"detections": [{**BOX, "classifications": [CLASS]}]}),
        (ClassifyParameters(), {"classifications": [CLASS, CLASS]}),
        (
            ClassifyParameters(regions=[[0, 0, 8, 8]]),
            {"regions": [{"box": [0.0, 0.0, 8.0, 8.0], "classifications": [CLASS]}]},
        ),
    ],
)
def test_the_columns_are_those_of_the_request(
    here: Folder, tmp_path: Path, parameters: RequestParameters, results: dict[str, Any]
) -> None:
    rows = [
        {"number": 0, "photo": "a.jpg", "width": 40, "height": 30, "error": None, **results},
        {"number": 1, "photo": "b.jpg", "error": ERROR},
    ]
    Parts(here, 2, 2).write(0, parameters, rows)
    empty = {"width": None, "height": None, **dict.fromkeys(results)}
    assert rows_of(tmp_path) == [rows[0], {**empty, **rows[1]}]


def test_names_sort_as_numbers_do() -> None:
    many = Parts(Folder("", None, ""), 10**8, 256)
    assert many.name(7) == "part-000007.parquet"
    assert many.name(many.shards - 1) == "part-390624.parquet"
