"""Workers know what the others have counted."""

import numpy as np
import pytest

from service.rollout.shared import SharedTallies
from service.rollout.statistics import Tally, clusters
from service.scoreboard import Scoreboard
from tests.service.scoreboards import scoreboards


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Scoreboard]:
    return scoreboards(3, monkeypatch)


def note(tally: Tally, requests: int) -> None:
    for _ in range(requests):
        tally.candidate.note_answer(0.02)
        tally.agreement += clusters(2, 2)


def test_each_reads_the_sum_of_all(workers: list[Scoreboard]) -> None:
    tallies = [SharedTallies(board) for board in workers]
    for requests, shared in enumerate(tallies, start=1):
        note(shared.own("pets", "the trial"), requests)
        note(shared.own("plants", "another"), 1)
    expected = Tally()
    note(expected, 6)
    for shared in tallies:
        total = shared.total("pets", "the trial")
        np.testing.assert_array_equal(total.cells, expected.cells)
        assert shared.total("plants", "another").candidate.answers[0] == 3
    assert tallies[1].own("pets", "the trial").candidate.answers[0] == 2


def test_another_trial_of_the_model_begins_anew(workers: list[Scoreboard]) -> None:
    one, other, _ = (SharedTallies(board) for board in workers)
    note(one.own("pets", "first"), 5)
    note(other.own("pets", "first"), 5)
    note(one.own("pets", "second"), 1)
    assert other.total("pets", "second").candidate.answers[0] == 1, "the other has not heard of it"
    assert one.total("pets", "first").candidate.answers[0] == 5
    note(other.own("pets", "second"), 1)
    assert one.total("pets", "second").candidate.answers[0] == 2


def test_what_has_ended_stays_counted(workers: list[Scoreboard]) -> None:
    one, other, _ = workers
    note(SharedTallies(one).own("pets", "trial"), 5)
    other.clear(one.own)
    assert SharedTallies(other).total("pets", "trial").candidate.answers[0] == 5
