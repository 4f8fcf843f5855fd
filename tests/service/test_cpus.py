"""Threads follow the container's limit, not the machine's size."""

import os
from pathlib import Path

import pytest

from service.cpus import available_cpus, own_processors, share

GRANTED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("6400000 100000", GRANTED),
        ("max 100000", GRANTED),
        ("", GRANTED),
    ],
    ids=["one processor", "half a processor", "more than there are", "no limit", "no content"],
)
def test_quota_limits_the_processors(tmp_path: Path, limit: str, expected: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit)
    assert available_cpus(file) == expected


def test_without_a_cgroup_all_granted_processors_count(tmp_path: Path) -> None:
    assert available_cpus(tmp_path / "missing") == GRANTED


def test_those_granted_are_known_one_by_one() -> None:
    assert own_processors() == os.sched_getaffinity(0)


@pytest.fixture
def two_nodes(tmp_path: Path) -> Path:
    """Eight processors, two of each core; the nodes have those of even and of odd numbers."""
    for number in range(8):
        folder = tmp_path / f"cpu{number}"
        (folder / "topology").mkdir(parents=True)
        (folder / f"node{number % 2}").mkdir()
        (folder / "topology" / "physical_package_id").write_text(f"{number % 2}\n")
        (folder / "topology" / "core_id").write_text(f"{number % 4 // 2}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("workers", "shares"),
    [
        (1, [{0, 1, 2, 3, 4, 5, 6, 7}]),
        (2, [{0, 2, 4, 6}, {1, 3, 5, 7}]),
        (4, [{0, 4}, {2, 6}, {1, 5}, {3, 7}]),
        (3, [{0, 4}, {2, 6, 1}, {5, 3, 7}]),
    ],
)
def test_each_worker_has_its_share(two_nodes: Path, workers: int, shares: list[set[int]]) -> None:
    """Whole cores of one node, as far as that comes out even."""
    found = [share(range(8), worker, workers, two_nodes) for worker in range(1, workers + 1)]
    assert found == shares
    assert share(range(8), workers + 1, workers, two_nodes) == shares[0], "who replaces the first"


def test_processors_are_shared_where_there_are_too_few(tmp_path: Path) -> None:
    assert [share({3, 5}, worker, 4, tmp_path) for worker in (1, 2, 3, 4)] == [{3}, {5}, {3}, {5}]


def test_a_quota_is_shared(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text("400000 100000")
    granted = available_cpus(tmp_path / "none")
    assert available_cpus(limit, workers=2) == min(granted, 2)
    assert available_cpus(limit, workers=8) == 1
