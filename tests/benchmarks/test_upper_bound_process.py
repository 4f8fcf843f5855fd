"""The upper bound's process, given commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.packages import MODELS
from benchmarks.upper_bound import Layout, Speed, latency_layout, layouts
from benchmarks.upper_bound_process import UpperBoundProcess, upper_bound_process


@pytest.fixture(scope="module")
def process(photos: Path) -> Iterator[UpperBoundProcess]:
    with upper_bound_process(MODELS[-1].package, photos) as started:
        yield started


def test_a_speed_is_of_what_was_done() -> None:
    speed = Speed(photos=50, seconds=2, cpu_seconds=3, p50_ms=55, p99_ms=60)
    assert (speed.per_second, speed.cpu_ms) == (25, 60)


def test_the_latency_layout_is_one_of_those_that_are_tried() -> None:
    tried = layouts(4)
    assert latency_layout(4) == Layout(workers=1, sessions=1, threads=4)
    assert latency_layout(4) in tried
    assert len(set(tried)) == len(tried) == 4
    assert layouts(1) == [Layout(1, 1, 1), Layout(2, 1, 1)]


def test_every_worker_answers_a_photo_however_short_the_time(process: UpperBoundProcess) -> None:
    speed = process.run(Layout(workers=3, sessions=1, threads=1), 0)
    assert speed.photos >= 3
    assert 0 < speed.p50_ms <= speed.p99_ms <= speed.seconds * 1e3
    assert speed.cpu_seconds > 0


def test_photos_of_an_open_loop_are_not_answered_before_they_are_due(
    process: UpperBoundProcess,
) -> None:
    speed = process.run(Layout(workers=2, sessions=1, threads=1), 1, rate=10)
    assert 10 <= speed.photos <= 12
    assert speed.seconds >= 0.9


def test_waiting_for_a_worker_is_part_of_the_latency(process: UpperBoundProcess) -> None:
    """A thousand a second are more than one worker can answer: the last photo waits for all of the
    others."""
    speed = process.run(Layout(workers=1, sessions=1, threads=1), 0.1, rate=1000)
    assert speed.photos == 100
    assert speed.p99_ms > 0.7 * (speed.seconds - 0.1) * 1e3


def test_commands_follow_each_other(process: UpperBoundProcess) -> None:
    short, long = (process.run(latency_layout(1), seconds) for seconds in (0.1, 0.4))
    assert short.seconds >= 0.1
    assert long.seconds >= 0.4
    assert long.photos > 0


def test_the_fastest_layout_comes_with_its_speed(process: UpperBoundProcess) -> None:
    layout, speed = process.fastest(0)
    assert layout in layouts(2) + layouts(1) + layouts(4)
    assert speed.per_second > 0
