"""10,000 photos with a node lost halfway, and the speed of a job. Results are in docs/bulk.md."""

import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.photos import small_photos
from benchmarks.upper_bound_process import upper_bound_process
from tests.packages import CLASSIFIER
from tests.paths import ROOT
from tests.service.bulk.jobs import command, environment, rows_of, run, two_nodes

pytestmark = pytest.mark.full

PHOTOS = 10_000
MODEL = "efficientdet_lite0_voc"
ROUNDS = 3
BOUND_SECONDS = 7  # for each layout
ROUND_PHOTOS = 2_000


@pytest.fixture(scope="module")
def different(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 photos of a size usual on web pages."""
    return small_photos(photos, tmp_path_factory.mktemp("different"))


def repeat(different: Path, folder: Path, number: int) -> Path:
    """A folder of ``number`` photos: these, repeated under new names."""
    folder.mkdir()
    sources = sorted(different.iterdir())
    for i in range(number):
        os.link(sources[i % len(sources)], folder / f"{i:05}.jpg")
    return folder


def test_10_000_photos_are_answered_once_each_though_a_node_is_lost(
    different: Path, tmp_path: Path
) -> None:
    album = repeat(different, tmp_path / "album", PHOTOS)
    output = tmp_path / "found"
    with two_nodes() as cluster:
        arguments = command("--input", album, "--output", output, "--model", CLASSIFIER)
        with subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment(RAY_ADDRESS=cluster.address),
            stderr=subprocess.PIPE,
            text=True,
        ) as driver:
            for count in parts_as_they_come(output, driver):
                if count >= 32:
                    break
            (node,) = cluster.worker_nodes
            cluster.remove_node(node, allow_graceful=False)
            _, said = driver.communicate(timeout=1200)
    print(said)
    assert driver.returncode == 0, said
    rows = rows_of(output)
    assert [row["number"] for row in rows] == list(range(PHOTOS))
    assert [row["photo"] for row in rows] == [f"{i:05}.jpg" for i in range(PHOTOS)]
    assert not any(row["error"] for row in rows)
    for row in rows[64:]:
        (best, *_), (same, *_) = (one["classifications"] for one in (row, rows[row["number"] % 64]))
        assert best["label"] == same["label"]


def parts_as_they_come(output: Path, driver: "subprocess.Popen[str]") -> Iterator[int]:
    ends = time.monotonic() + 1200
    while time.monotonic() < ends and driver.poll() is None:
        yield len(list(output.glob("part-*.parquet")))
        time.sleep(0.2)
    raise AssertionError("the job ended before it was half done")


def test_a_job_is_nearly_as_fast_as_the_processors_are(different: Path, tmp_path: Path) -> None:
    """In turns with the upper bound, since the speed of a machine drifts."""
    album = repeat(different, tmp_path / "album", ROUND_PHOTOS)
    package = ROOT / "model_store" / MODEL / "1"
    ratios = []
    for number in range(ROUNDS):
        with upper_bound_process(package, different) as process:
            bound = process.fastest(BOUND_SECONDS)[1].per_second
        done = run("--input", album, "--output", tmp_path / f"found{number}", "--model", MODEL)
        assert done.returncode == 0, done.stderr
        (speed,) = re.findall(r"([\d.]+)/s$", done.stderr.strip())
        ratios.append(float(speed) / bound)
        print(f"upper bound {bound:.1f}/s, job {speed}/s, ratio {ratios[-1]:.3f}")
    assert statistics.median(ratios) >= 0.9
