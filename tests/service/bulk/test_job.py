"""A job can only be continued as the same job."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from service.bulk.errors import BulkError
from service.bulk.folder import Folder
from service.bulk.job import JOB_FILE, Input, Job, Model, enter, read_job
from service.bulk.parameters import answer_settings
from service.settings import Settings


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "input": Input(uri="photos", photos=40, sha256="a" * 64),
        "model": Model(name="pets", version="2", sha256="b" * 64),
        "parameters": {"score_threshold": 0.3},
        "settings": answer_settings(Settings()),
        "shard_size": 16,
    }
    return Job(**{**fields, **changes})


def test_a_new_job_is_noted_and_the_same_one_goes_on(here: Folder) -> None:
    parts, begun = enter(here, job())
    assert (parts.total, parts.shard_size, begun) == (40, 16, job())
    assert read_job(here) == job()
    moved = Input(uri="s3://moved/photos", photos=40, sha256="a" * 64)
    parts, begun = enter(here, job(input=moved, shard_size=99))
    assert (parts.shard_size, begun.input.uri) == (16, "photos"), "as it was begun"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"input": Input(uri="photos", photos=41, sha256="c" * 64)},
            r"other photos: 40 of photos \(sha256 a{12}\), now 41 of photos \(sha256 c{12}\);",
        ),
        (
            {"model": Model(name="pets", version="3", sha256="d" * 64)},
            r"other model: pets/2 \(sha256 b{12}\), now pets/3 \(sha256 d{12}\);",
        ),
        (
            {"then": Model(name="breeds", version="1", sha256="e" * 64)},
            r"other classifier: none, now breeds/1 \(sha256 e{12}\);",
        ),
        ({"parameters": {"score_threshold": 0.5}}, "other score_threshold: 0.3, now 0.5;"),
        ({"parameters": {"score_threshold": 0.3, "labels": ["cat"]}}, "other labels: null, now"),
        (
            {"settings": answer_settings(Settings(reduce_jpegs=False))},
            "other reduce_jpegs: true, now false; --output names another folder",
        ),
    ],
)
def test_another_job_is_refused_in_one_line(
    here: Folder, changes: dict[str, Any], words: str
) -> None:
    enter(here, job())
    before = here.read(JOB_FILE)
    with pytest.raises(BulkError, match=words) as caught:
        enter(here, job(**changes))
    assert "\n" not in str(caught.value)
    assert here.read(JOB_FILE) == before


def test_a_folder_of_something_else_is_left_alone(here: Folder, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BulkError, match=r"holds thesis.txt but no bulk job"):
        enter(here, job())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_job_file_that_cannot_be_read_is_told(here: Folder, tmp_path: Path) -> None:
    enter(here, job())
    content = json.loads(here.read(JOB_FILE))
    (tmp_path / JOB_FILE).write_text(json.dumps({**content, "boxport_bulk": 2}))
    with pytest.raises(BulkError, match=r"_job.json: boxport_bulk: Input should be 1"):
        enter(here, job())


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "found").write_text("")
    folder = Folder("found", fs.LocalFileSystem(), str(tmp_path / "found"))
    with pytest.raises(BulkError, match=r"^found: "):
        enter(folder, job())
