"""Valid places for results."""

from pathlib import Path

import pytest

from service.bulk.errors import BulkError
from service.bulk.target import check_new, open_target


def test_a_folder_takes_parquet_and_a_json_file_coco(tmp_path: Path) -> None:
    assert open_target(f"{tmp_path}/found.parquet", "photos").coco is None
    target = open_target(f"{tmp_path}/found.json", "photos")
    assert target.coco is not None
    folder, name = target.coco
    assert (folder.path, name) == (str(tmp_path), "found.json")
    assert target.parts.uri == target.parts.path == f"{tmp_path}/found.json.parts"


def test_results_among_the_photos_are_refused(tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "found", tmp_path / "deep" / "found.json"):
        with pytest.raises(BulkError, match=r"lies in .*; --output names a folder beside it"):
            open_target(str(output), f"{tmp_path}/")
    open_target(f"{tmp_path}-found", str(tmp_path))


def test_a_file_that_is_there_is_not_replaced_by_a_new_job(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    target = open_target(str(file), "photos")
    check_new(target, str(file))
    file.write_text("of somebody else")
    with pytest.raises(BulkError, match=r"found.json: is there already"):
        check_new(target, str(file))
    (tmp_path / "found.json.parts").mkdir()  # of a job that goes on
    check_new(target, str(file))
