"""A deadline says when it is over, and who is told how long it was."""

import time

import pytest

from service.inference.deadline import Deadline
from service.problems import Problem


def test_time_runs_out() -> None:
    deadline = Deadline.after(0.05)
    deadline.check("decoding")
    assert 0 < deadline.remaining <= 0.05
    time.sleep(0.06)
    assert deadline.passed
    with pytest.raises(Problem, match=r"had 50 ms, which were over before decoding") as caught:
        deadline.check("decoding")
    assert caught.value.code == "deadline_exceeded"
    assert caught.value.kind.retryable
