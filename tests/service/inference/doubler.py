"""A batcher of numbers, whose runs can be held up."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from service.inference.batcher import Batcher
from service.inference.deadline import Deadline, Priority

PLENTY = 60.0  # seconds


class Doubler:
    """Doubles numbers; odd hundreds are poisonous. Waits for ``gate`` and notes its batches."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.gate.wait(10)
        self.batches.append(list(items))
        if any(item == 100 for item in items):
            raise ValueError("100 is poison")
        return [item * 2 for item in items]


def make(doubler: Doubler, max_batch_size: int = 4, runners: int = 1) -> Batcher[int, int]:
    return Batcher(
        doubler,
        lambda item: item % 2,
        max_batch_size=max_batch_size,
        runners=runners,
        name="doubler",
    )


async def submit_all(
    batcher: Batcher[int, int],
    items: Sequence[int],
    priority: Priority = Priority.INTERACTIVE,
    seconds: float = PLENTY,
) -> list:
    """Submit in order, each before the next; the tasks that wait for the results."""
    tasks = []
    for item in items:
        tasks.append(asyncio.create_task(batcher.submit(item, Deadline.after(seconds), priority)))
        await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: list) -> list:
    done = await asyncio.gather(*tasks, return_exceptions=True)
    return [d if isinstance(d, BaseException) else d.value for d in done]


async def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited in vain")
