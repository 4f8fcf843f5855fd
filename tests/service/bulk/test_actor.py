"""The actor without Ray: shards of real photos through the real engine."""

import asyncio
import dataclasses
import functools
import math
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from service.bulk.actor import Actor, WorkerTask
from service.bulk.attempts import Attempts
from service.bulk.errors import BulkError
from service.bulk.folder import open_folder
from service.bulk.layout import Resources
from service.bulk.listing import list_photos
from service.bulk.parameters import read_request
from service.bulk.photos import Photo
from service.bulk.work import Work
from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.manifest import Task
from service.parameters import RequestParameters
from service.problems import Problem
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.packages import CLASSIFIER, copy_package
from tests.service.bulk.conftest import PHOTOS, SHARDS
from tests.service.bulk.jobs import rows_of
from tests.service.companions import add_companion

DETECTOR = "efficientdet_lite0_voc"


@dataclass(frozen=True)
class Bench:
    """A task, the actor that has it, and the folder of the results."""

    task: WorkerTask
    actor: Actor
    folder: Path
    shard: Callable[[int], Any]

    def answer(self, shard: Any) -> dict[str, Any]:
        return self.actor({"shard": pickle.dumps(shard)})


def bench(
    photos: Path,
    folder: Path,
    store: Path,
    model: str = CLASSIFIER,
    options: dict[str, Any] = {"top_k": 2},  # noqa: B006
    **settings: Any,
) -> Bench:
    own = Settings(model_store=store, **settings)
    request = read_request(own, model, options)
    work = Work.begin(open_folder(str(folder)), list_photos(str(photos), None), request, own)
    task = pickle.loads(pickle.dumps(work.task(Resources(1, 0.0))))
    return Bench(task, Actor(task), folder, lambda number: work.shards([number])[0])


def test_novelty_is_a_column_if_it_is_asked_for(album: Path, store: Path, tmp_path: Path) -> None:
    own = tmp_path / "store"
    package = copy_package(store / CLASSIFIER / "1", own, "things", 1)
    with pytest.raises(BulkError, match="--novelty: things has no companion"):
        read_request(Settings(model_store=own), "things", {"novelty": True})
    add_companion(package)
    made = bench(album, tmp_path / "found", own, "things", {"novelty": True})
    assert made.answer(made.shard(0))["fault"] is None
    (part,) = made.folder.glob("part-*.parquet")
    rows = pq.read_table(part).to_pylist()
    assert any(0 < row["novelty"] < 1 for row in rows if row["error"] is None)
    assert all(row["novelty"] is None for row in rows if row["error"] is not None)


def test_a_shard_becomes_a_part_and_a_bad_photo_a_row(
    album: Path, store: Path, tmp_path: Path
) -> None:
    made = bench(album, tmp_path / "found", store, max_body_bytes=70_000)
    outcomes = [made.answer(made.shard(number)) for number in range(SHARDS)]
    assert [outcome["fault"] for outcome in outcomes] == [None] * SHARDS
    rows = rows_of(made.folder)
    assert [row["number"] for row in rows] == list(range(PHOTOS))
    assert [row["photo"] for row in rows] == sorted(
        str(path.relative_to(album)) for path in album.rglob("2*/*.jpg")
    )
    errors = {row["photo"]: row["error"]["code"] for row in rows if row["error"]}
    large = {
        str(path.relative_to(album)): "body_too_large"
        for path in album.rglob("2*/*.jpg")
        if path.stat().st_size > 70_000
    }
    assert len(large) >= 3
    assert errors == {
        "2021/017-cut.jpg": "invalid_image",
        "2021/029-empty.jpg": "empty_image",
        **large,
    }
    assert sum(outcome["failed"] for outcome in outcomes) == len(errors)
    for row in rows:
        assert (row["width"] is None) == (row["photo"] in errors)
        assert len(row["classifications"] or ()) == (0 if row["photo"] in errors else 2)


def answer_directly(
    store: Path, task: Task, photo: bytes, parameters: RequestParameters
) -> dict[str, Any] | Problem:
    """What the engine itself says."""
    settings = Settings(model_store=store, watch_seconds=0, max_batch_size=1, concurrent_runs=1)
    engine = Engine(settings, Metrics(ServiceState))
    policy = RequestPolicy(Deadline.after(math.inf))
    try:
        answer = asyncio.run(engine.answer(task, [photo], parameters, policy))
    finally:
        engine.close()
    (result,) = answer.results
    return result


@pytest.mark.parametrize(
    ("model", "options", "column"),
    [
        (DETECTOR, {"then": CLASSIFIER, "top_k": 2, "score_threshold": 0.05}, "detections"),
        (CLASSIFIER, {"regions": ["0,0,90,90", "40.5,10,9000,90"] * 50, "top_k": 1}, "regions"),
    ],
)
def test_boxes_are_classified_as_the_engine_does(
    album: Path, store: Path, tmp_path: Path, model: str, options: dict[str, Any], column: str
) -> None:
    """However many boxes the photos of an actor have together."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(album.rglob("2*/*.jpg"))[:8]:
        shutil.copy(path, photos)
    made = bench(photos, tmp_path / "found", store, model, options, max_batch_size=1)
    assert made.answer(made.shard(0))["fault"] is None
    rows = rows_of(made.folder)
    assert [row["error"] for row in rows] == [None] * 8
    assert sum(len(row[column]) for row in rows) > 20
    task, given = made.task.model_task, made.task.parameters
    direct = answer_directly(store, task, (photos / rows[0]["photo"]).read_bytes(), given)
    assert {name: rows[0][name] for name in direct} == direct


def identity(file: Path) -> tuple[int, int, int]:
    """What changes if a file is written again; reading it changes its access time only."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def test_a_part_that_is_there_is_not_made_again(album: Path, store: Path, tmp_path: Path) -> None:
    made = bench(album, tmp_path / "found", store)
    first = made.answer(made.shard(2))
    part = made.folder / "part-00002.parquet"
    before = identity(part)
    again = made.answer(made.shard(2))
    assert (again["photos"], again["failed"]) == (first["photos"], first["failed"]) == (16, 2)
    assert identity(part) == before
    assert sorted(path.name for path in made.folder.iterdir()) == ["_job.json", part.name]


def test_a_photo_that_goes_away_is_a_row_with_its_error(
    album: Path, store: Path, tmp_path: Path
) -> None:
    photos = shutil.copytree(album, tmp_path / "album")
    made = bench(photos, tmp_path / "found", store)
    shard = made.shard(0)
    (photos / shard.files[3].name).unlink()
    assert made.answer(shard)["failed"] == 1
    row = rows_of(made.folder)[3]
    assert row["error"]["code"] == "photo_unreadable"
    assert shard.files[3].name in row["error"]["detail"]


@dataclass(frozen=True)
class Flaky:
    """A shard of one photo that can be read only at the third attempt."""

    number: int
    first: int
    size: int
    tries: Path

    def photos(self, max_bytes: int) -> list[Photo]:
        return [Photo("far.jpg", functools.partial(self.read))]

    def read(self) -> bytes:
        with self.tries.open("a") as file:
            file.write("x")
        if self.tries.stat().st_size < 3:
            raise OSError("the connection was reset")
        return b""


def test_what_a_store_does_not_give_at_once_is_asked_for_again(
    album: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bulk.actor.READ_PAUSES", (0.01, 0.01))
    made = bench(album, tmp_path / "found", store)
    made.answer(Flaky(0, 0, 1, tmp_path / "tries"))
    (row,) = rows_of(made.folder)
    assert row["error"]["code"] == "empty_image", "it was read in the end"
    assert (tmp_path / "tries").read_text() == "xxx"


def test_the_photo_that_killed_two_actors_is_left_out(
    album: Path, store: Path, tmp_path: Path
) -> None:
    made = bench(album, tmp_path / "found", store)
    for _ in range(4):
        attempts = Attempts(made.task.parts.folder, 0)
        attempts.begin()
        if attempts.careful:
            attempts.note(5)
    assert made.answer(made.shard(0))["failed"] == 1
    rows = rows_of(made.folder)
    assert [row["number"] for row in rows if row["error"]] == [5]
    assert "died of this one" in rows[5]["error"]["detail"]


def test_what_ends_the_job_is_told_with_the_node(album: Path, store: Path, tmp_path: Path) -> None:
    made = bench(album, tmp_path / "found", store)
    other = open_folder(str(tmp_path / "elsewhere"))
    parts = dataclasses.replace(made.task.parts, folder=other)
    lost = Actor(dataclasses.replace(made.task, parts=parts))
    fault = lost({"shard": pickle.dumps(made.shard(0))})["fault"]
    assert "elsewhere: is another folder for this node" in fault
    assert fault.endswith(f"(on {os.uname().nodename})")
    (reference, files), *_ = made.task.files.items()
    broken = {reference: {**files, "model.onnx": b"broken"}}
    unfit = dataclasses.replace(made.task, files=broken)
    fault = Actor(unfit)({"shard": pickle.dumps(made.shard(0))})["fault"]
    assert "its sha256 is not the manifest's" in fault
    assert rows_of(made.folder) == []
