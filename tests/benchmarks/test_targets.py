"""The figures that targets read."""

import pytest

from benchmarks.results import Results
from benchmarks.targets import TARGETS, Target, best_peers, verdicts

MODEL = "efficientdet_lite0_voc"


def read_nothing(results: Results, model: str) -> None:
    """No figure."""


@pytest.mark.parametrize(
    ("at_least", "value", "word"),
    [
        (True, 0.89, "missed"),
        (True, 0.9, "met"),
        (True, 0.97, "goal"),
        (False, 0.98, "missed"),
        (False, 0.97, "met"),
        (False, 0.9, "goal"),
    ],
)
def test_reaching_a_bound_is_enough(at_least: bool, value: float, word: str) -> None:
    required, goal = (0.9, 0.97) if at_least else (0.97, 0.9)
    assert Target("speed", required, goal, at_least, read_nothing).judge(value) == word


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_goals_are_beyond_requirements(target: Target) -> None:
    assert (target.goal > target.required) == target.at_least


@pytest.fixture
def results() -> Results:
    """One round of every system."""
    found = Results()

    def add(
        system: str, load: str, model: str = MODEL, photos: str = "interleaved", **figures: float
    ):
        found.add(figures, system=system, model=model, photos=photos, load=load)

    add("upper bound", "closed 16", per_second=60, cpu_ms=33)
    add("upper bound", "closed 1", p50_ms=20)
    add("Boxport", "closed 1", p50_ms=21, per_second=45)
    add("Boxport", "closed 16", p50_ms=270, per_second=57, cpu_ms=33.4)
    add("Boxport", "open 70", p50_ms=25, p99_ms=52.5)
    add("Boxport", "closed 16", model=f"{MODEL}_int8", per_second=100)
    for model in (MODEL, f"{MODEL}_int8"):
        add("slow", "closed 16", model=model, per_second=30)
        add("fast", "closed 16", model=model, per_second=50)
    add("Boxport", "closed 16", photos="small", per_second=1)
    add("fast", "closed 16", photos="small", per_second=40)
    add("slow", "closed 16", photos="small", per_second=30)
    add("Boxport", "closed 16", photos="phone", per_second=20)
    add("slow", "closed 16", photos="phone", per_second=8)
    add("fast", "closed 16", photos="phone", per_second=5)
    add("Boxport", "footprint", model="both models", rss_mb=350, pss_mb=200, start_s=2.5)
    return found


def test_each_target_reads_its_own_figures(results: Results) -> None:
    measured = {
        (verdict.target.name, verdict.model): (pytest.approx(verdict.value), verdict.word)
        for verdict in verdicts(results)
        if verdict.value is not None
    }
    assert measured == {
        ("throughput at 16 connections / upper bound", MODEL): (0.95, "met"),
        ("p50 at 1 connection / in process, all processors", MODEL): (1.05, "goal"),
        ("processor time beyond decoding and inference", MODEL): (0.4, "met"),
        ("throughput / best peer, 500 x 375", MODEL): (1.14, "met"),
        ("throughput / best peer, 12 megapixels", MODEL): (2.5, "met"),
        ("int8 / best peer's fp32", MODEL): (2.0, "met"),
        ("p99 at 70 % load / unloaded p50", MODEL): (2.5, "met"),
        ("resident memory after load", "both models"): (350, "met"),
        ("start to ready", "both models"): (2.5, "goal"),
    }


def test_peers_are_neither_boxport_nor_the_upper_bound(results: Results) -> None:
    assert best_peers(results, MODEL) == ["fast", "slow"]
    assert best_peers(results, MODEL, "interleaved") == ["fast", "slow"]
    assert best_peers(results, MODEL, "phone") == ["slow", "fast"]
    assert best_peers(results, "another") == []


def test_what_was_not_measured_is_said_to_be() -> None:
    assert {verdict.word for verdict in verdicts(Results())} == {"not measured"}
