"""A deadline says when it is over, and who is told how long it was."""

import asyncio
import time

import pytest
import uvloop

from service.inference.deadline import NO_DEADLINE, Deadline
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


def test_a_wait_is_cut_at_the_deadline() -> None:
    async def wait(deadline: Deadline, seconds: float) -> str:
        async with deadline.limit("its image had come"):
            await asyncio.sleep(seconds)
        return "done"

    with pytest.raises(Problem, match="50 ms, which were over before its image had come"):
        asyncio.run(wait(Deadline.after(0.05), 5))
    with pytest.raises(Problem, match="before its image had come"):
        asyncio.run(wait(Deadline.after(-1), 5))
    assert asyncio.run(wait(Deadline.after(5), 0.01)) == "done"
    for run in (asyncio.run, uvloop.run):
        assert run(wait(NO_DEADLINE, 0.01)) == "done"


def test_a_timeout_of_something_else_is_not_the_deadlines() -> None:
    async def wait() -> None:
        async with Deadline.after(5).limit("its image had come"):
            raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(wait())
