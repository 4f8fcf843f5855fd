"""Ratios of observations."""

from pathlib import Path

import pytest

from benchmarks.results import Results, quantile

WHERE = {"model": "pets", "photos": "small", "load": "closed 16"}


def results_of(**values: list[float]) -> Results:
    """Throughputs of each system, a value for each round."""
    results = Results()
    for system, speeds in values.items():
        for turn, speed in enumerate(speeds):
            results.add({"per_second": speed}, system=system, turn=turn, **WHERE)
    return results


def test_ratio_is_the_median_of_the_rounds_own() -> None:
    results = results_of(ours=[10, 100, 30], peer=[5, 200, 10])
    one, other = (
        {**WHERE, "system": system, "metric": "per_second"} for system in ("ours", "peer")
    )
    assert results.ratio(one, other) == 2  # of 2, .5 and 3; the medians' own ratio would be 3
    assert results.difference(one, other) == 5  # of 5, -100 and 20


def test_rounds_that_one_side_lacks_are_left_out() -> None:
    results = results_of(ours=[10, 100], peer=[5])
    one, other = (
        {**WHERE, "system": system, "metric": "per_second"} for system in ("ours", "peer")
    )
    assert results.ratio(one, other) == 2
    assert results.ratio(one, {**other, "system": "nobody"}) is None


def test_best_has_the_greatest_median() -> None:
    results = results_of(steady=[10, 11, 12], lucky=[50, 1, 2])
    assert results.best("system", **WHERE, metric="per_second") == "steady"
    assert results.best("system", **WHERE, metric="p50_ms") is None


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = results_of(ours=[10.5, 2])
    results.machine["processor"], results.missing["Peer"] = "fast", "is not there"
    results.write(tmp_path / "cache" / "results.json")
    assert Results.read(tmp_path / "cache" / "results.json") == results


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (0, 1), (1, 100)])
def test_quantile(share: float, expected: float) -> None:
    assert quantile(list(range(100, 0, -1)), share) == expected
