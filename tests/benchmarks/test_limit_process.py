"""The limit, taking orders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.limit import Layout, Speed, layouts, lone
from benchmarks.limit_process import LimitProcess, limit_process
from benchmarks.packages import MODELS


@pytest.fixture(scope="module")
def limit(photos: Path) -> Iterator[LimitProcess]:
    with limit_process(MODELS[-1].package, photos) as process:
        yield process


def test_a_speed_is_of_what_was_done() -> None:
    speed = Speed(photos=50, seconds=2, cpu_seconds=3, p50_ms=55, p99_ms=60)
    assert (speed.per_second, speed.cpu_ms) == (25, 60)


def test_the_lone_layout_is_one_of_those_that_are_tried() -> None:
    tried = layouts(4)
    assert lone(4) == Layout(workers=1, sessions=1, threads=4)
    assert lone(4) in tried
    assert len(set(tried)) == len(tried) == 4
    assert layouts(1) == [Layout(1, 1, 1), Layout(2, 1, 1)]


def test_every_worker_does_a_photo_however_short_the_time(limit: LimitProcess) -> None:
    speed = limit.run(Layout(workers=3, sessions=1, threads=1), 0)
    assert speed.photos >= 3
    assert 0 < speed.p50_ms <= speed.p99_ms <= speed.seconds * 1e3
    assert speed.cpu_seconds > 0


def test_photos_that_come_on_their_own_are_not_done_before_they_come(limit: LimitProcess) -> None:
    speed = limit.run(Layout(workers=2, sessions=1, threads=1), 1, rate=10)
    assert 10 <= speed.photos <= 12
    assert speed.seconds >= 0.9


def test_who_comes_to_busy_workers_has_waited(limit: LimitProcess) -> None:
    """A thousand in a tenth of a second are more than can be done: the last of them waits for all
    of the others."""
    speed = limit.run(Layout(workers=1, sessions=1, threads=1), 0.1, rate=1000)
    assert speed.photos == 100
    assert speed.p99_ms > 0.7 * (speed.seconds - 0.1) * 1e3


def test_orders_follow_each_other(limit: LimitProcess) -> None:
    short, long = (limit.run(lone(1), seconds) for seconds in (0.1, 0.4))
    assert short.seconds >= 0.1
    assert long.seconds >= 0.4
    assert long.photos > 0


def test_the_fastest_layout_comes_with_its_speed(limit: LimitProcess) -> None:
    layout, speed = limit.fastest(0)
    assert layout in layouts(2) + layouts(1) + layouts(4)
    assert speed.per_second > 0
