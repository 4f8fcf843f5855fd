"""Whose turn it is in the batcher, and whose turn comes too late."""

import asyncio
import time

import pytest

from service.inference.batcher import BULK_TURN
from service.inference.deadline import Deadline, Priority
from service.problems import Problem
from tests.service.inference.doubler import Doubler, job, make, outcomes, submit_all, wait_for


def test_what_is_late_when_it_comes_is_never_queued(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        with pytest.raises(Problem, match="over before batching") as caught:
            await batcher.submit(job(2, Deadline(time.monotonic() - 0.001, 0.05)))
        assert caught.value.code == "deadline_exceeded"
        doubler.gate.set()
        await asyncio.to_thread(batcher.close)
        assert doubler.batches == []

    asyncio.run(scenario())


def test_what_is_late_when_its_turn_comes_is_not_run(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
        late = await submit_all(batcher, [2, 4], seconds=0.05)
        in_time = await submit_all(batcher, [6])
        await asyncio.sleep(0.1)
        doubler.gate.set()
        two, four, six = (await outcomes(first + late + in_time))[1:]
        assert six == 12
        assert [problem.code for problem in (two, four)] == ["deadline_exceeded"] * 2
        assert "50 ms, which were over before its turn came" in two.detail
        assert doubler.batches == [[0], [6]]
        batcher.close()

    asyncio.run(scenario())


def test_what_is_late_in_the_queue_is_told_at_its_deadline(doubler: Doubler) -> None:
    """And not when a runner comes to it."""

    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
        (late,) = await submit_all(batcher, [2], seconds=0.05)
        with pytest.raises(Problem, match="50 ms, which were over before its turn came"):
            await asyncio.wait_for(late, 2)
        assert batcher.waiting == 0
        doubler.gate.set()
        assert await outcomes(first) == [0]
        batcher.close()

    asyncio.run(scenario())


def test_what_has_begun_is_finished_though_it_became_late(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        tasks = await submit_all(batcher, [2], seconds=0.05)
        await wait_for(lambda: batcher.waiting == 0)
        await asyncio.sleep(0.1)
        doubler.gate.set()
        assert await outcomes(tasks) == [4]
        batcher.close()

    asyncio.run(scenario())


def test_bulk_gives_way(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler, max_batch_size=2)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
        bulk = await submit_all(batcher, [2, 4, 6], Priority.BULK)
        soon = await submit_all(batcher, [20, 22, 24])
        doubler.gate.set()
        await outcomes(first + bulk + soon)
        assert doubler.batches == [[0], [20, 22], [24, 2], [4, 6]]
        batcher.close()

    asyncio.run(scenario())


def test_bulk_does_not_starve(doubler: Doubler) -> None:
    """While interactive work never ends, every so many batches begin with bulk."""

    async def scenario() -> None:
        batcher = make(doubler, max_batch_size=1)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
        bulk = await submit_all(batcher, [2, 4], Priority.BULK)
        soon = await submit_all(batcher, list(range(20, 20 + 2 * 4 * BULK_TURN, 2)))
        doubler.gate.set()
        await outcomes(first + bulk + soon)
        order = [batch[0] for batch in doubler.batches]
        places = [order.index(item) for item in (2, 4)]
        assert places[0] < BULK_TURN
        assert places[1] - places[0] == BULK_TURN
        batcher.close()

    asyncio.run(scenario())


def test_bulk_fills_a_batch_only_of_its_group(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
        bulk = await submit_all(batcher, [3, 2, 5], Priority.BULK)
        soon = await submit_all(batcher, [20, 22])
        doubler.gate.set()
        await outcomes(first + bulk + soon)
        assert doubler.batches == [[0], [20, 22, 2], [3, 5]]
        batcher.close()

    asyncio.run(scenario())
