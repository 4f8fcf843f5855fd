"""The pace of a model: what it has learnt of its runs, and what it expects of the next."""

import pytest

from service.inference.deadline import Deadline
from service.inference.pace import Pace
from service.problems import Problem


@pytest.fixture
def pace() -> Pace:
    return Pace(max_batch_size=4, concurrent_runs=1)


def test_many_images_of_one_request_are_each_waited_for(pace: Pace) -> None:
    pace.note(0.5, 1)
    pace.pending = 1
    deadline = Deadline.after(6)
    pace.check(deadline)
    with pytest.raises(Problem, match="1 images are before this one"):
        pace.check(deadline, 16)


def test_the_pace_follows_the_newest_runs(pace: Pace) -> None:
    pace.note(10.0, 1)
    pace.pending = 1
    assert pace.expected_wait == pytest.approx(10)
    for _ in range(60):
        pace.note(0.2, 2)
    assert pace.expected_wait == pytest.approx(0.1, abs=0.05)


def test_a_pace_that_was_slow_once_cannot_shut_the_model(pace: Pace) -> None:
    pace.note(100.0, 1)
    assert pace.expected_wait == 0
    pace.check(Deadline.after(0.1))
