"""Jobs on a Ray cluster of two nodes, and on a Ray of their own."""

import asyncio
import json
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.engine.engine import Engine
from service.inference.deadline import Deadline, RequestPolicy
from service.parameters import DetectParameters
from service.problems import Problem
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.states import ServiceState
from tests.packages import CLASSIFIER
from tests.paths import ROOT
from tests.service.answers import assert_close
from tests.service.bulk.conftest import BROKEN, PHOTOS, SHARDS
from tests.service.bulk.jobs import command, environment, rows_of, run, two_nodes

QUESTION = ("--score-threshold", "0.4", "--label", "cat", "--label", "person")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with two_nodes() as cluster:
        yield cluster.address


def answers_of(store: Path, album: Path, names: list[str]) -> dict[str, Any]:
    """The engine's own answers to photos, one by one."""
    settings = Settings(model_store=store, watch_seconds=0, max_batch_size=1, concurrent_runs=1)
    engine = Engine(settings, Metrics(ServiceState))
    parameters = DetectParameters(score_threshold=0.4, labels=["cat", "person"])

    async def ask(name: str) -> Any:
        terms = RequestPolicy(Deadline.after(math.inf))
        content = [(album / name).read_bytes()]
        return (await engine.answer("detection", content, parameters, terms)).results[0]

    try:
        return {name: asyncio.run(ask(name)) for name in names}
    finally:
        engine.close()


@pytest.mark.full
def test_a_job_on_a_ray_of_its_own_answers_as_the_engine_does(
    album: Path, store: Path, tmp_path: Path
) -> None:
    output = tmp_path / "found.json"
    done = run("--input", album, "--output", output, *QUESTION)
    assert (done.returncode, done.stdout) == (0, f"{output}\n"), done.stderr
    words = f"{PHOTOS} photos: {PHOTOS - 2} answered, 2 with an error; {PHOTOS} of them now"
    assert words in done.stderr.splitlines()[-1]
    rows = rows_of(f"{output}.parts")
    assert [row["number"] for row in rows] == list(range(PHOTOS))
    assert {row["photo"].rpartition("/")[2] for row in rows if row["error"]} == set(BROKEN)
    expected = answers_of(store, album, [row["photo"] for row in rows])
    for row in rows:
        direct = expected[row["photo"]]
        if isinstance(direct, Problem):
            assert row["error"] == {"code": direct.code, "detail": direct.detail}
        else:
            assert_close(row, direct)
    content = json.loads(output.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert names == {row["number"] + 1: row["photo"] for row in rows if not row["error"]}
    in_coco = [(names[a["image_id"]], a["score"]) for a in content["annotations"]]
    in_rows = [(row["photo"], d["score"]) for row in rows for d in row["detections"] or ()]
    assert in_coco == in_rows
    assert len(in_coco) > 10


@pytest.mark.full  # as the others: Ray itself gives up where a machine is busy while it starts
def test_what_was_done_before_the_driver_was_killed_is_not_redone(
    album: Path, tmp_path: Path, address: str
) -> None:
    output = tmp_path / "found"
    arguments = ("--input", album, "--output", output, "--model", CLASSIFIER, "--max-actors", 1)
    with subprocess.Popen(
        command(*arguments), cwd=ROOT, env=environment(RAY_ADDRESS=address)
    ) as driver:
        parts = wait_for_parts(output, driver)
        driver.send_signal(signal.SIGKILL)
    assert 1 <= len(parts) < SHARDS
    before = {part: part.stat().st_mtime_ns for part in parts}
    done = run(*arguments, RAY_ADDRESS=address)
    assert done.returncode == 0, done.stderr
    assert {part: part.stat().st_mtime_ns for part in parts} == before
    (now,) = re.findall(r"(\d+) of them now", done.stderr)
    assert 0 < int(now) <= PHOTOS - 16 * len(parts)
    assert [row["number"] for row in rows_of(output)] == list(range(PHOTOS))
    again = run(*arguments, RAY_ADDRESS=address)
    assert (again.returncode, again.stderr.count("\n")) == (0, 1)
    assert f"{PHOTOS - 2} answered, 2 with an error; 0 of them now" in again.stderr
    other = run(*arguments, "--top-k", 1, RAY_ADDRESS=address)
    assert other.returncode == 1
    assert other.stderr == (
        f"boxport: {output}: was begun with other top_k: 5, now 1; --output names another folder\n"
    )


def wait_for_parts(output: Path, driver: "subprocess.Popen[bytes]") -> list[Path]:
    """The parts, once there is at least one."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends and driver.poll() is None:
        if parts := sorted(output.glob("part-*.parquet")):
            return parts
        time.sleep(0.005)
    raise AssertionError("no part in a minute, or the driver ended")


@pytest.mark.full
def test_a_photo_at_which_actors_die_is_a_row_with_its_error(
    album: Path, tmp_path: Path, address: str
) -> None:
    """Whatever kills them; here, reading a photo."""
    arguments = f"{str(album)!r}, {str(tmp_path / 'found')!r}"
    code = f"from tests.service.bulk.deadly import main; main({arguments})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(RAY_ADDRESS=address),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "found")
    assert [row["number"] for row in rows] == list(range(16))
    assert [row["number"] for row in rows if row["error"]] == [3]
    assert "died of this one" in rows[3]["error"]["detail"]


@pytest.mark.full
def test_an_actor_larger_than_the_machine_is_told(album: Path, tmp_path: Path) -> None:
    done = run("--input", album, "--output", tmp_path / "found", "--actor-cpus", 1000)
    assert done.returncode == 1
    assert "an actor takes 1000 processors and 0 GPUs, more than this machine has" in done.stderr
