"""A batcher of numbers, whose runs can be held up."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from service.inference.batcher import Batcher
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.inference.task import Job

PLENTY = 60.0  # seconds


class Doubler:
    """Doubles numbers; odd hundreds are poisonous. Waits for ``gate`` and notes its batches."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, jobs: Sequence[Job]) -> list[int]:
        items = [job.content for job in jobs]
        self.gate.wait(10)
        self.batches.append(items)
        if any(item == 100 for item in items):
            raise ValueError("100 is poison")
        return [item * 2 for item in items]


def make(doubler: Doubler, max_batch_size: int = 4, runners: int = 1) -> Batcher:
    return Batcher(doubler, max_batch_size=max_batch_size, runners=runners, name="doubler")


def job(item: int, deadline: Deadline, priority: Priority = Priority.INTERACTIVE) -> Job:
    """Odd and even ones are groups."""
    return Job(item, None, RequestPolicy(deadline, priority), group=item % 2)


async def submit_all(
    batcher: Batcher,
    items: Sequence[int],
    priority: Priority = Priority.INTERACTIVE,
    seconds: float = PLENTY,
) -> list:
    """Submit in order, each before the next; the tasks that wait for the results."""
    tasks = []
    for item in items:
        one = job(item, Deadline.after(seconds), priority)
        tasks.append(asyncio.create_task(batcher.submit(one)))
        await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: list) -> list:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited in vain")
