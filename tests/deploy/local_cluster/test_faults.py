"""The ways in which a replica may be gone, under load, and what each costs; docs/cluster.md has the
last figures."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from boxport_client import ClassificationResult

from tests.deploy.local_cluster.clusters import (
    Load,
    LocalCluster,
    direct_answers,
    kill,
    launch,
    running_cluster,
)
from tests.e2e.server import eventually
from tests.soak.results import record

MEASURED_SECONDS = 8.0

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, small_store: Path) -> Iterator[LocalCluster]:
    with running_cluster(tmp_path_factory.mktemp("c"), 3, small_store) as running:
        yield running


def kill_all(processes: list[psutil.Process]) -> None:
    kill(processes)


def kill_parent(processes: list[psutil.Process]) -> None:
    """The worker outlives it, keeps the port, and is to be let finish."""
    processes[0].kill()


def kill_worker(processes: list[psutil.Process]) -> None:
    """BentoML takes up to ten seconds to notice; who connects meanwhile waits."""
    processes[-1].kill()


def hang(processes: list[psutil.Process]) -> None:
    """The worker takes connections and answers none, for 15 seconds."""
    worker = processes[-1]
    worker.send_signal(signal.SIGSTOP)
    threading.Timer(15, worker.send_signal, [signal.SIGCONT]).start()


def terminate(processes: list[psutil.Process]) -> None:
    processes[0].terminate()


@pytest.mark.parametrize("harm", [kill_all, kill_parent, kill_worker, hang, terminate])
def test_no_photo_is_lost(
    cluster: LocalCluster,
    some_photos: list[Path],
    expected: dict[Path, ClassificationResult],
    harm: Callable[[list[psutil.Process]], None],
) -> None:
    with Load(cluster, some_photos) as load:
        before = load.rate(MEASURED_SECONDS)
        began = time.monotonic()
        harm(cluster.processes("1"))
        eventually(lambda: cluster.status("1") != "UP", "the balancer knows", 30)
        noticed = time.monotonic() - began
        during = load.rate(2)
        cluster.wait_until_up()
        back = time.monotonic() - began
        after = load.rate(MEASURED_SECONDS)
    load.check(expected)
    record(
        harm.__name__,
        photos=len(load.given),
        retries=load.retries,
        noticed_seconds=round(noticed, 1),
        back_seconds=round(back, 1),
        longest_gap_seconds=round(load.longest_gap(), 2),
        a_second_before=round(before, 1),
        share_meanwhile=round(during / before, 2),
        share_after=round(after / before, 2),
    )
    assert after > 0.8 * before


def test_roll_costs_nobody_anything(
    cluster: LocalCluster, some_photos: list[Path], expected: dict[Path, ClassificationResult]
) -> None:
    with Load(cluster, some_photos) as load:
        before = load.rate(MEASURED_SECONDS)
        began, done = time.monotonic(), len(load.outcomes)
        rolled = cluster.run("roll")
        seconds = time.monotonic() - began
        during = (len(load.outcomes) - done) / seconds
    load.check(expected)
    assert rolled.returncode == 0, rolled.stderr
    record(
        "roll of three",
        photos=len(load.given),
        retries=load.retries,
        seconds=round(seconds, 1),
        share_meanwhile=round(during / before, 2),
    )
    assert load.retries == 0


def test_start_ends_what_a_killed_cluster_left(
    tmp_path: Path, small_store: Path, some_photos: list[Path]
) -> None:
    with running_cluster(tmp_path, 1, small_store) as first:
        supervisord = first.process.pid
        children = psutil.Process(supervisord).children()
        kill([psutil.Process(supervisord), *children])
        left = first.processes("1")
        assert all(process.is_running() for process in left)
        first.process.wait()
        second = launch(tmp_path, first.port, 1, small_store)
        try:
            eventually(lambda: not any(process.is_running() for process in left), "they ended")
            eventually(lambda: first.processes("1"), "there is another")
            first.wait_until_up()
            assert direct_answers(first, some_photos)
        finally:
            second.send_signal(signal.SIGINT)
            assert second.wait(60) == 0
