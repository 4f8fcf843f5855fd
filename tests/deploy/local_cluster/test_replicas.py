"""Replicas die, drain and are rolled while the SDK asks: nothing is lost, and none has a caller of
its own."""

import collections
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from boxport_client import ClassificationResult

from tests.deploy.local_cluster.clusters import (
    CONCURRENCY,
    Load,
    LocalCluster,
    kill,
    running_cluster,
)
from tests.e2e.server import eventually

MEASURED_SECONDS = 2.0

pytestmark = pytest.mark.full  # test_balancer.py has a balancer without replicas of its own


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, small_store: Path) -> Iterator[LocalCluster]:
    with running_cluster(tmp_path_factory.mktemp("c"), 2, small_store) as running:
        yield running


def test_one_connection_is_answered_by_all_replicas(
    cluster: LocalCluster, some_photos: list[Path]
) -> None:
    photo, jpeg = some_photos[0].read_bytes(), {"content-type": "image/jpeg"}
    with httpx.Client(base_url=cluster.url, headers=jpeg, timeout=60) as client:
        replies = [client.post("/v1/classify", content=photo) for _ in range(10)]
    served = collections.Counter(reply.headers["x-boxport-replica"] for reply in replies)
    assert served == {"1": 5, "2": 5}
    assert not any("set-cookie" in reply.headers for reply in replies)


def test_killed_replica_costs_a_retry_of_what_it_was_answering(
    cluster: LocalCluster, some_photos: list[Path], expected: dict[Path, ClassificationResult]
) -> None:
    with Load(cluster, some_photos) as load:
        before = measured(load, cluster)
        kill(cluster.processes("1"))
        eventually(lambda: cluster.status("1").startswith("DOWN"), "the balancer knows", 10)
        cluster.wait_until_up()
        after = measured(load, cluster)
    load.check(expected)
    assert 1 <= load.retries <= CONCURRENCY
    assert after > before / 2


def test_nobody_notices_that_replicas_are_drained_and_rolled(
    cluster: LocalCluster, some_photos: list[Path], expected: dict[Path, ClassificationResult]
) -> None:
    with Load(cluster, some_photos) as load:
        before = measured(load, cluster)
        drain(cluster, "2")
        cluster.wait_until_up()
        rolled = roll(cluster)
        after = measured(load, cluster)
    load.check(expected)
    assert load.retries == 0
    assert rolled == ["1", "2"]
    assert after > before / 2


def measured(load: Load, cluster: LocalCluster) -> float:
    """Photos a second, shared by the replicas."""
    before = {name: cluster.answered(name) for name in cluster.names}
    rate = load.rate(MEASURED_SECONDS)
    parts = [cluster.answered(name) - before[name] for name in cluster.names]
    assert min(parts) > sum(parts) / len(parts) / 2, parts
    return rate


def drain(cluster: LocalCluster, name: str) -> None:
    """A replica ends gracefully: it finishes its requests and gets no new ones."""
    process = cluster.processes(name)[0]
    process.terminate()
    eventually(lambda: cluster.status(name).startswith("NOLB"), "it is passed over", 10)
    begun = cluster.rows()[name]["stot"]
    eventually(lambda: not process.is_running(), "it has ended")
    assert cluster.rows()[name]["stot"] == begun


def roll(cluster: LocalCluster) -> list[str]:
    """Restart all replicas; the names of those with new processes."""
    before = {name: cluster.processes(name)[0].pid for name in cluster.names}
    done = cluster.run("roll")
    assert done.returncode == 0, done.stderr
    assert [line.split(" is back after ")[0] for line in done.stderr.splitlines()] == [
        f"boxport: replica {name}" for name in cluster.names
    ]
    return [name for name in cluster.names if cluster.processes(name)[0].pid != before[name]]
