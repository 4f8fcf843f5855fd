"""The search, on a machine whose speeds are known: no clock decides these tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from service.inference.layout import Layout
from service.tuning import search as module
from service.tuning.search import BATCHES, Finding, Search, decode_counts, divided, grid
from service.tuning.trial import CALLERS, ONNX_RUNTIME, OPENVINO_RUNTIMES, Choice, Runtime, Speed

DEFAULT = Layout(2, 1, 2, 0, 2)
FLOAT32, BFLOAT16 = OPENVINO_RUNTIMES


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
    assert search(slo=1).default == Choice(DEFAULT)


def photos_per_second(layout: Layout) -> float:
    """Best at 2 runs of 1 thread, batches of 4 and one thread that decodes."""
    return (
        100
        - 30 * abs(layout.concurrent_runs - 2)
        - 5 * abs(layout.max_batch_size - 4)
        - 3 * abs(layout.decode_threads - 1)
    )


class KnownTrial:
    """Of runs by a runtime: times as fast as by ONNX Runtime, and agreement with float32."""

    agreements: ClassVar[dict[Runtime, float]] = {}
    gains: ClassVar[dict[Runtime, float]] = {}

    def __init__(self, choice: Choice) -> None:
        self.layout, self.run_by = choice.layout, choice.run_by

    def speed(self, callers: int, seconds: float) -> Speed:
        rate = photos_per_second(self.layout) * min(1.0, 0.4 + callers / 16)
        rate *= self.gains.get(self.run_by, 1.0)
        return Speed(callers, rate, p99=0.01 * callers * self.layout.max_batch_size)

    def agreement(self, other: "KnownTrial") -> float:
        assert other.run_by == ONNX_RUNTIME
        return self.agreements.get(self.run_by, 1.0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Layout]:
    opened: list[Layout] = []

    @contextmanager
    def trial_of(package: Path, choice: Choice, photos: list) -> Iterator[KnownTrial]:
        opened.append(choice.layout)
        yield KnownTrial(choice)

    monkeypatch.setattr(module, "trial_of", trial_of)
    return opened


def search(slo: float) -> Search:
    return Search(Path("a/1"), [b"photo"], cpus=2, slo=slo, seconds=1.0)


def test_it_finds_what_the_whole_grid_has(measured: list[Layout]) -> None:
    found = search(slo=10).run()
    tried = len(set(measured))
    assert found.choice.layout == Layout(2, 1, 4, 1, 2)
    assert found.choice.layout == search(slo=10).measure_grid().choice.layout
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
    assert found.choice.layout.max_batch_size == 2
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
    assert found.choice.layout == layout
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
    assert search(slo=0.07).run().choice.layout != DEFAULT


def test_where_nothing_is_fast_enough_it_ends_soon(measured: list[Layout]) -> None:
    assert search(slo=0.001).run().value(0.001) == 0
    assert len(set(measured)) == 3


def test_the_defaults_are_measured_first_to_compare_with(measured: list[Layout]) -> None:
    heard: list[Finding] = []
    looking = search(slo=10)
    looking.on_finding = heard.append
    looking.run()
    assert heard[0].choice.layout == measured[0] == DEFAULT
    assert [speed.callers for speed in heard[0].speeds] == list(CALLERS)


@pytest.mark.parametrize(
    ("gains", "agreement", "run_by"),
    [
        ({}, 1.0, ONNX_RUNTIME),
        ({FLOAT32: 1.3, BFLOAT16: 1.5}, 1.0, FLOAT32),
        ({FLOAT32: 1.0, BFLOAT16: 1.2}, 1.0, ONNX_RUNTIME),
        ({FLOAT32: 1.0, BFLOAT16: 1.6}, 0.98, BFLOAT16),
        ({FLOAT32: 1.0, BFLOAT16: 1.6}, 0.96, ONNX_RUNTIME),
    ],
    ids=["slower", "float32 gains", "bfloat16 gains too little", "bfloat16", "it disagrees"],
)
@pytest.mark.parametrize("whole_grid", [False, True])
def test_another_runtime_is_chosen_for_what_it_gains(
    measured: list[Layout],
    monkeypatch: pytest.MonkeyPatch,
    gains: dict[Runtime, float],
    agreement: float,
    run_by: Runtime,
    whole_grid: bool,
) -> None:
    monkeypatch.setattr(KnownTrial, "gains", gains)
    monkeypatch.setattr(KnownTrial, "agreements", {BFLOAT16: agreement})
    looking = search(slo=10)
    looking.runtimes = OPENVINO_RUNTIMES
    found = looking.measure_grid() if whole_grid else looking.run()
    assert found.choice.run_by == run_by
    assert found.agreement == (agreement if run_by == BFLOAT16 else None)
    assert looking.measured <= looking.most_measurements(whole_grid=whole_grid)
    assert found.choice.settings["precision"] == run_by.precision
