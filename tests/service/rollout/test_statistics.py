"""Figures and their intervals."""

import numpy as np
import pytest

from service.rollout.statistics import (
    Tally,
    clusters,
    mean,
    moments,
    quantile,
    ratio,
    slower,
    wilson,
)


def test_wilson_s_interval_is_that_of_the_tables() -> None:
    """Newcombe 1998, table I: methods 3, score without continuity correction."""
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(successes, trials)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) is None


def test_detections_of_one_photo_are_worth_less_than_as_many_photos() -> None:
    alone = sum(clusters(int(i % 5 != 0), 1) for i in range(100))
    together = sum(clusters(10 if i % 5 else 0, 10) for i in range(10))
    a, b = ratio(alone), ratio(together)
    assert a is not None
    assert b is not None
    assert a.value == b.value == 0.8
    assert (a.low, a.high) == pytest.approx((0.711, 0.867), abs=0.002)
    assert b.high - b.low > 2 * (a.high - a.low)


def test_the_interval_of_clustered_detections_holds_what_it_says() -> None:
    """Photos that are right as a whole, or wrong: 95 of 100 intervals hold the truth."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        sizes = random.integers(1, 12, 60)
        right = random.random(60) < 0.9
        found = ratio(
            sum(clusters(int(s) * int(r), int(s)) for s, r in zip(sizes, right, strict=True))
        )
        assert found is not None
        held += found.low <= 0.9 <= found.high
    assert held / 400 > 0.9


def test_where_all_agrees_a_photo_counts_once() -> None:
    found = ratio(sum(clusters(10, 10) for _ in range(20)))
    assert found == wilson(20, 20)
    assert ratio(clusters(0, 0)) is None, "photos on which nothing is found say nothing"


def test_means() -> None:
    found = mean(sum(moments(value) for value in (1.0, 2.0, 3.0)))
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert found.high - found.value == pytest.approx(1.959964 / np.sqrt(3))
    assert mean(np.zeros(3)) is None


def test_latencies() -> None:
    tally = Tally()
    for i in range(100):
        tally.candidate.note_answer(0.010 if i < 98 else 0.2)
    latencies = tally.candidate.latencies
    assert quantile(latencies, 0.5) == pytest.approx(0.010, rel=0.08)
    assert quantile(latencies, 0.99) == pytest.approx(0.2, rel=0.08)
    above = slower(latencies, 0.1)
    assert above is not None
    assert above.value == 0.02
    assert quantile(np.zeros(181), 0.5) is None


def test_what_failed_has_no_latency() -> None:
    tally = Tally()
    tally.candidate.note_answer(3.0, failed=True)
    assert list(tally.candidate.answers) == [1, 1]
    assert not tally.candidate.latencies.any()
