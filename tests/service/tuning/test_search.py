"""The search, on a machine whose speeds are known: no clock decides these tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.inference.layout import Layout
from service.tuning import search as module
from service.tuning.search import BATCHES, Finding, Search, decode_counts, divided, grid
from service.tuning.trial import CALLERS, Speed

DEFAULT = Layout(2, 1, 2, 0, 2)


@pytest.mark.parametrize(
    ("cpus", "expected"),
    [
        (1, [(1, 1), (2, 1)]),
        (2, [(1, 2), (2, 1), (3, 1)]),
        (6, [(1, 6), (2, 3), (3, 2), (6, 1), (7, 1)]),
    ],
)
def test_runs_fill_the_processors(cpus: int, expected: list) -> None:
    layouts = divided(DEFAULT, cpus)
    assert [(layout.concurrent_runs, layout.threads) for layout in layouts] == expected


@pytest.mark.parametrize(("cpus", "expected"), [(1, [0, 1]), (2, [0, 1, 2]), (6, [0, 1, 2, 4, 6])])
def test_what_decodes(cpus: int, expected: list) -> None:
    assert decode_counts(cpus) == expected


def test_the_grid_has_every_combination_once_and_the_defaults() -> None:
    layouts = grid(DEFAULT, 2)
    assert len(layouts) == len(set(layouts)) == 3 * len(BATCHES) * 3
    assert DEFAULT in layouts
    assert search(slo=1).default == DEFAULT


def photos_per_second(layout: Layout) -> float:
    """Best at 2 runs of 1 thread, batches of 4 and one thread that decodes."""
    return (
        100
        - 30 * abs(layout.concurrent_runs - 2)
        - 5 * abs(layout.max_batch_size - 4)
        - 3 * abs(layout.decode_threads - 1)
    )


class KnownTrial:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def speed(self, callers: int, seconds: float) -> Speed:
        rate = photos_per_second(self.layout) * min(1.0, 0.4 + callers / 16)
        return Speed(callers, rate, p99=0.01 * callers * self.layout.max_batch_size)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Layout]:
    opened: list[Layout] = []

    @contextmanager
    def trial_of(package: Path, layout: Layout, photos: list) -> Iterator[KnownTrial]:
        opened.append(layout)
        yield KnownTrial(layout)

    monkeypatch.setattr(module, "trial_of", trial_of)
    return opened


def search(slo: float) -> Search:
    return Search(Path("a/1"), [b"photo"], cpus=2, slo=slo, seconds=1.0)


def test_it_finds_what_the_whole_grid_has(measured: list[Layout]) -> None:
    found = search(slo=10).run()
    tried = len(set(measured))
    assert found.layout == Layout(2, 1, 4, 1, 2)
    assert found.layout == search(slo=10).measure_grid().layout
    assert tried < len(grid(DEFAULT, 2)) / 2


@pytest.mark.parametrize("whole_grid", [False, True])
def test_it_takes_no_more_measurements_than_were_foretold(
    measured: list[Layout], whole_grid: bool
) -> None:
    looking = search(slo=10)
    most = looking.most_measurements(whole_grid=whole_grid)
    _ = looking.measure_grid() if whole_grid else looking.run()
    assert most / 2 < looking.measured <= most


def test_what_is_too_slow_does_not_count(measured: list[Layout]) -> None:
    """Batches of 4 take .16 s with 4 callers: with .1 s only smaller ones may."""
    found = search(slo=0.1).run()
    assert found.layout.max_batch_size == 2
    assert max(speed.per_second for speed in found.speeds if speed.p99 <= 0.1) == found.value(0.1)


@pytest.mark.parametrize(("gain", "layout"), [(0.01, DEFAULT), (0.05, Layout(3, 1, 2, 0, 2))])
@pytest.mark.parametrize("whole_grid", [False, True])
def test_the_defaults_stay_unless_another_is_faster_by_more_than_chance(
    measured: list[Layout],
    monkeypatch: pytest.MonkeyPatch,
    gain: float,
    layout: Layout,
    whole_grid: bool,
) -> None:
    speeds = {DEFAULT: 1.0, Layout(3, 1, 2, 0, 2): 1 + gain}
    monkeypatch.setattr(
        KnownTrial,
        "speed",
        lambda self, callers, seconds: Speed(callers, speeds.get(self.layout, 0.5), p99=0.1),
    )
    looking = search(slo=10)
    found = looking.measure_grid() if whole_grid else looking.run()
    assert found.layout == layout
    assert set(measured[-2:]) == set(speeds), "both are measured again, in turn"


def test_what_the_defaults_do_too_slowly_is_no_rival(
    measured: list[Layout], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        KnownTrial,
        "speed",
        lambda self, callers, seconds: Speed(
            callers, 10, p99=0.1 if self.layout == DEFAULT else 0.05
        ),
    )
    assert search(slo=0.07).run().layout != DEFAULT


def test_where_nothing_is_fast_enough_it_ends_soon(measured: list[Layout]) -> None:
    assert search(slo=0.001).run().value(0.001) == 0
    assert len(set(measured)) == 3


def test_the_defaults_are_measured_first_to_compare_with(measured: list[Layout]) -> None:
    heard: list[Finding] = []
    looking = search(slo=10)
    looking.on_finding = heard.append
    looking.run()
    assert heard[0].layout == measured[0] == DEFAULT
    assert [speed.callers for speed in heard[0].speeds] == list(CALLERS)
