"""The batcher: together where it can, never at a neighbour's cost."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from service.engine.batcher import Batcher


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


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


def make(doubler: Doubler, max_batch_size: int = 4, runners: int = 1) -> Batcher[int, int]:
    return Batcher(
        doubler,
        lambda item: item % 2,
        max_batch_size=max_batch_size,
        runners=runners,
        name="doubler",
    )


async def submit_all(batcher: Batcher[int, int], items: Sequence[int]) -> list:
    """Submit in order, each before the next; the values or exceptions."""
    tasks = []
    for item in items:
        tasks.append(asyncio.create_task(batcher.submit(item)))
        await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: list) -> list:
    done = await asyncio.gather(*tasks, return_exceptions=True)
    return [d if isinstance(d, BaseException) else d.value for d in done]


async def wait_for(condition) -> AsyncIterator[None]:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited in vain")


def test_a_lone_item_is_run_at_once(doubler: Doubler) -> None:
    doubler.gate.set()
    batcher = make(doubler)
    assert asyncio.run(batcher.submit(21)).value == 42
    batcher.close()


def test_what_queued_while_busy_runs_together_in_order(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [2])
        await wait_for(lambda: not batcher._queue)
        rest = await submit_all(batcher, [4, 6, 8, 10, 12, 14])
        doubler.gate.set()
        assert await outcomes(first + rest) == [4, 8, 12, 16, 20, 24, 28]
        assert doubler.batches == [[2], [4, 6, 8, 10], [12, 14]]
        batcher.close()

    asyncio.run(scenario())


def test_groups_are_never_mixed_and_the_oldest_goes_first(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: not batcher._queue)
        rest = await submit_all(batcher, [1, 2, 3, 4, 5, 6])
        doubler.gate.set()
        assert await outcomes(first + rest) == [0, 2, 4, 6, 8, 10, 12]
        assert doubler.batches == [[0], [1, 3, 5], [2, 4, 6]]
        batcher.close()

    asyncio.run(scenario())


def test_waiting_work_is_shared_among_idle_runners(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler, max_batch_size=8, runners=2)
        busy = await submit_all(batcher, [0, 2])
        await wait_for(lambda: not batcher._queue)
        assert len(await submit_all(batcher, [4, 6, 8, 10])) == 4
        doubler.gate.set()
        await outcomes(busy)
        await wait_for(lambda: sum(map(len, doubler.batches)) == 6)
        assert max(map(len, doubler.batches)) <= 4
        batcher.close()

    asyncio.run(scenario())


def test_poison_fails_alone(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: not batcher._queue)
        rest = await submit_all(batcher, [2, 100, 4])
        doubler.gate.set()
        two, poison, four = (await outcomes(first + rest))[1:]
        assert (two, four) == (4, 8)
        assert isinstance(poison, ValueError)
        assert doubler.batches[1:] == [[2, 100, 4], [2], [100], [4]]
        batcher.close()

    asyncio.run(scenario())


def test_given_up_items_are_not_run(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: not batcher._queue)
        rest = await submit_all(batcher, [2, 4, 6])
        rest[0].cancel()
        rest[2].cancel()
        await asyncio.sleep(0.01)
        doubler.gate.set()
        assert await outcomes(first + rest[1:2]) == [0, 8]
        assert doubler.batches == [[0], [4]]
        batcher.close()

    asyncio.run(scenario())


def test_a_queue_of_only_given_up_items_does_not_stop_the_runner(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: not batcher._queue)
        (given_up,) = await submit_all(batcher, [2])
        given_up.cancel()
        await asyncio.sleep(0.01)
        doubler.gate.set()
        await outcomes(first)
        assert await outcomes(await submit_all(batcher, [4])) == [8]
        batcher.close()

    asyncio.run(scenario())


def test_close_finishes_what_is_queued(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        tasks = await submit_all(batcher, [2, 4, 6])
        doubler.gate.set()
        await asyncio.to_thread(batcher.close)
        assert await outcomes(tasks) == [4, 8, 12]
        assert not any(thread.is_alive() for thread in batcher._threads)

    asyncio.run(scenario())


def test_times_tell_waiting_from_running(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [2])
        await wait_for(lambda: not batcher._queue)
        second = await submit_all(batcher, [4])
        await asyncio.sleep(0.1)
        doubler.gate.set()
        early, late = [await task for task in first + second]
        assert early.ran >= 0.1
        assert late.queued >= 0.1
        assert late.ran < early.ran
        batcher.close()

    asyncio.run(scenario())
