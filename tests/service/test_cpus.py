"""Threads follow the container's limit, not the machine's size."""

import os
from pathlib import Path

import pytest

from service.cpus import available_cpus, own_processors

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
