"""The figures of a load."""

import pytest

from benchmarks.drive import summarise
from benchmarks.load import Outcome


def outcome(at: float, latency: float, late: float = 0.0) -> Outcome:
    return Outcome("photo", at, late, latency, 200)


def test_answers_are_counted_to_the_last() -> None:
    figures = summarise([outcome(at / 10, 0.1) for at in range(30)])  # ten a second
    assert figures["per_second"] == pytest.approx(10)
    assert figures["p50_ms"] == figures["p99_ms"] == pytest.approx(100)


def test_bursts_are_no_faster_than_a_stream() -> None:
    bursts = [outcome(start, 4.0) for start in (0.0, 4.0) for _ in range(16)]
    assert summarise(bursts)["per_second"] == pytest.approx(4)


def test_waiting_to_be_sent_is_part_of_the_latency() -> None:
    figures = summarise([outcome(1.0, 0.1, late=0.4)])
    assert figures["p50_ms"] == pytest.approx(500)
    assert figures["per_second"] == pytest.approx(1 / 1.5)


def test_one_slow_answer_in_fifty_is_the_99th_percentile() -> None:
    figures = summarise([outcome(0.1, 0.01)] * 49 + [outcome(0.1, 0.9)])
    assert figures["p50_ms"] == pytest.approx(10)
    assert figures["p99_ms"] == pytest.approx(900)
