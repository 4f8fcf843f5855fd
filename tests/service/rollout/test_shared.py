"""Workers know what the others have counted."""

from pathlib import Path

import numpy as np
import pytest

from service.rollout.shared import SharedTallies
from service.rollout.statistics import Tally, clusters


def tally(requests: int) -> Tally:
    made = Tally()
    for _ in range(requests):
        made.candidate.note_answer(0.02)
        made.agreement += clusters(2, 2)
    return made


def test_each_reads_the_sum_of_the_others(tmp_path: Path) -> None:
    workers = [SharedTallies(tmp_path, str(number)) for number in range(3)]
    for requests, worker in enumerate(workers, start=1):
        worker.exchange({"pets/2": tally(requests), "other": tally(1)})
    found = workers[0].exchange({"pets/2": tally(1)})["pets/2"]
    expected = tally(5)
    assert found.candidate.answers[0] == 5
    np.testing.assert_array_equal(found.candidate.latencies, expected.candidate.latencies)
    np.testing.assert_array_equal(found.agreement, expected.agreement)
    both = tally(1).plus(found)
    assert both.candidate.answers[0] == 6
    assert found.candidate.answers[0] == 5


def test_one_worker_shares_nothing() -> None:
    assert SharedTallies.of(1).exchange({"pets/2": tally(1)}) == {}


def test_workers_of_one_service_have_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    SharedTallies.of(2).exchange({"pets/2": tally(1)})
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert SharedTallies(folder, "other").exchange({})["pets/2"].candidate.answers[0] == 1
