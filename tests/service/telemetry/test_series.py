"""Counts and buckets are what Prometheus takes them for."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.telemetry.series import Counter, Histogram


def test_histogram_s_buckets_include_their_bound_and_all_that_is_below() -> None:
    histogram = Histogram("seconds", "Help.", ("stage",), (0.1, 1))
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(("queue",), value)
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for sample in histogram.family().samples
    }
    assert samples == {
        ("seconds_bucket", "0.1"): 2,
        ("seconds_bucket", "1.0"): 4,
        ("seconds_bucket", "+Inf"): 5,
        ("seconds_count", None): 5,
        ("seconds_sum", None): pytest.approx(8.65),
    }


def test_labels_have_series_of_their_own() -> None:
    counter = Counter("events", "Help.", ("model", "reason"))
    counter.count(("a", "ok"))
    counter.count(("a", "ok"))
    counter.count(("b", "ok"))
    assert [(s.name, s.labels["model"], s.value) for s in counter.family().samples] == [
        ("events_total", "a", 2),
        ("events_total", "b", 1),
    ]


def test_threads_lose_no_event() -> None:
    counter = Counter("events", "Help.", ("model",))
    histogram = Histogram("size", "Help.", ("model",), (1, 2))

    def work(_: int) -> None:
        for _ in range(5000):
            counter.count(("a",))
            histogram.observe(("a",), 2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert counter.family().samples[0].value == 20_000
    assert {s.name: s.value for s in histogram.family().samples}["size_sum"] == 40_000
