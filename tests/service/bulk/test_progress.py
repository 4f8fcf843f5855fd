"""The progress of a running job."""

import pytest

from service.bulk.actor import Outcome
from service.bulk.progress import ProgressReporter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("service.bulk.progress.time.monotonic", lambda: now[0])
    return now


def test_time_begins_with_the_first_shard_and_not_with_ray(clock: list[float]) -> None:
    progress = ProgressReporter(total=100, done=0)
    assert (progress.per_second, progress.seconds) == (0.0, 0.0)
    clock[0] = 150.0
    progress.add(Outcome(20, 1, seconds=5.0))
    clock[0] = 155.0
    progress.add(Outcome(30, 0, seconds=9.0))
    assert (progress.seconds, progress.per_second) == (10.0, 5.0)
    assert (progress.count.photos, progress.count.failed) == (50, 1)


def test_a_log_gets_a_line_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = ProgressReporter(total=500, done=100)
    with progress.shown():
        for second in range(0, 90, 10):
            clock[0] = 100.0 + second
            progress.add(Outcome(10, second == 0, seconds=10.0))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "boxport: 140 of 500 photos, 1.0/s, 1 failed",
        "boxport: 170 of 500 photos, 1.0/s, 1 failed",
    ]


def test_people_get_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = ProgressReporter(total=500, done=100)
    with progress.shown():
        progress.add(Outcome(150, 2, seconds=3.0))
    shown = capsys.readouterr().err
    assert "250/500" in shown
    assert "2 failed" in shown
