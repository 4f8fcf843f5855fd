"""The batcher: together where it can, never at a neighbour's cost."""

import asyncio
import random
import time
import weakref

import pytest

from service.inference.deadline import Deadline, Priority
from service.problems import Problem
from tests.service.inference.doubler import (
    PLENTY,
    Doubler,
    job,
    make,
    outcomes,
    submit_all,
    wait_for,
)


def test_a_lone_item_is_run_at_once(doubler: Doubler) -> None:
    doubler.gate.set()
    batcher = make(doubler)
    assert asyncio.run(batcher.submit(job(21, Deadline.after(PLENTY)))) == 42
    batcher.close()


def test_it_tells_how_long_the_oldest_batch_runs(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        assert batcher.longest_run == 0
        asked = await submit_all(batcher, [2])
        await wait_for(lambda: batcher.longest_run > 0.05)
        doubler.gate.set()
        await outcomes(asked)
        await wait_for(lambda: batcher.longest_run == 0)
        batcher.close()

    asyncio.run(scenario())


def test_what_queued_while_busy_runs_together_in_order(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [2])
        await wait_for(lambda: batcher.waiting == 0)
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
        await wait_for(lambda: batcher.waiting == 0)
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
        await wait_for(lambda: batcher.waiting == 0)
        assert len(await submit_all(batcher, [4, 6, 8, 10])) == 4
        doubler.gate.set()
        await outcomes(busy)
        await wait_for(lambda: sum(map(len, doubler.batches)) == 6)
        assert max(map(len, doubler.batches)) <= 4
        batcher.close()

    asyncio.run(scenario())


def test_a_busy_runner_is_left_its_share(doubler: Doubler) -> None:
    """Who is free first does not take what the other could run beside it."""

    async def scenario() -> None:
        batcher = make(doubler, max_batch_size=8, runners=2)
        busy = await submit_all(batcher, [0, 2])
        await wait_for(lambda: batcher.waiting == 0)
        rest = await submit_all(batcher, [4, 6])
        doubler.gate.set()
        assert await outcomes(busy + rest) == [0, 4, 8, 12]
        assert sorted(map(len, doubler.batches)) == [1, 1, 1, 1]
        batcher.close()

    asyncio.run(scenario())


def test_poison_fails_alone(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
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
        await wait_for(lambda: batcher.waiting == 0)
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
        await wait_for(lambda: batcher.waiting == 0)
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


def test_what_comes_after_the_end_is_refused_and_does_not_wait_for_ever(doubler: Doubler) -> None:
    batcher = make(doubler)
    batcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(batcher.submit(job(2, Deadline.after(PLENTY))))


def test_the_time_in_the_queue_is_noted(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        early, late = (job(item, Deadline.after(PLENTY)) for item in (2, 4))
        first = asyncio.create_task(batcher.submit(early))
        await wait_for(lambda: "queue" in early.stages)
        second = asyncio.create_task(batcher.submit(late))
        await asyncio.sleep(0.1)
        doubler.gate.set()
        assert [await first, await second] == [4, 8]
        assert early.stages["queue"] < 0.1 <= late.stages["queue"]
        batcher.close()

    asyncio.run(scenario())


def test_a_caller_that_goes_while_its_item_runs_costs_nobody(doubler: Doubler) -> None:
    async def scenario() -> None:
        batcher = make(doubler)
        (gone,) = await submit_all(batcher, [2])
        await wait_for(lambda: batcher.waiting == 0)
        gone.cancel()
        rest = await submit_all(batcher, [4])
        doubler.gate.set()
        assert await outcomes(rest) == [8]
        assert gone.cancelled()
        batcher.close()

    asyncio.run(scenario())


def test_whatever_comes_and_goes_each_gets_its_own_result() -> None:
    """600 items in random order of class, some cancelled, some late, on three runners."""
    doubler = Doubler()
    doubler.gate.set()
    chance = random.Random(3)

    async def scenario() -> None:
        batcher = make(doubler, runners=3)
        tasks = []
        for item in range(200, 800):
            priority = chance.choice(list(Priority))
            seconds = chance.choice([PLENTY, PLENTY, 0.0])
            tasks += await submit_all(batcher, [item], priority, seconds)
            if chance.random() < 0.2:
                tasks[-1].cancel()
            if chance.random() < 0.1:
                await asyncio.sleep(0.001)
        for item, outcome in enumerate(await outcomes(tasks), start=200):
            late = isinstance(outcome, Problem) and outcome.code == "deadline_exceeded"
            assert late or isinstance(outcome, asyncio.CancelledError) or outcome == 2 * item
        batcher.close()
        assert batcher.waiting == 0

    asyncio.run(scenario())
    ran = [item for batch in doubler.batches for item in batch]
    assert len(ran) == len(set(ran)) > 200
    assert all(len({item % 2 for item in batch}) == 1 for batch in doubler.batches)


def test_what_is_given_up_leaves_the_queue_at_once(doubler: Doubler) -> None:
    """Its bytes are counted no more, and so must not stay."""

    async def scenario() -> None:
        batcher = make(doubler)
        first = await submit_all(batcher, [0])
        await wait_for(lambda: batcher.waiting == 0)
        queued = job(2, Deadline.after(PLENTY), Priority.BULK)
        task = asyncio.create_task(batcher.submit(queued))
        await wait_for(lambda: batcher.waiting == 1)
        gone = weakref.ref(queued)
        del queued
        task.cancel()
        await asyncio.wait([task])
        del task
        assert (batcher.waiting, gone()) == (0, None)
        doubler.gate.set()
        assert await outcomes(first) == [0]
        batcher.close()

    asyncio.run(scenario())


def test_a_runner_that_waits_holds_nothing_of_its_last_batch(doubler: Doubler) -> None:
    doubler.gate.set()

    async def scenario() -> None:
        batcher = make(doubler)
        last = job(4, Deadline.after(PLENTY))
        gone = weakref.ref(last)
        assert await batcher.submit(last) == 8
        del last
        await wait_for(lambda: gone() is None)
        batcher.close()

    asyncio.run(scenario())


def test_a_job_whose_run_has_ended_is_not_abandoned_by_a_caller_who_goes_then(
    doubler: Doubler,
) -> None:
    """Else whoever waits for the end of its run would wait for ever."""

    async def scenario() -> None:
        batcher = make(doubler)
        one = job(2, Deadline.after(PLENTY))
        asked = asyncio.create_task(batcher.submit(one))
        await wait_for(lambda: batcher.longest_run > 0)
        doubler.gate.set()
        ends = time.monotonic() + 10
        while batcher.longest_run:  # without a turn of the event loop, which has yet to deliver
            assert time.monotonic() < ends
        time.sleep(0.05)
        asked.cancel()
        assert isinstance((await outcomes([asked]))[0], asyncio.CancelledError)
        assert one.ended
        assert not one.abandoned
        batcher.close()

    asyncio.run(scenario())
