"""Continuous batching: a free runner takes what is waiting, at once, up to the batch limit.

An idle service adds no wait, and a busy one fills its batches by itself while the runners work.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """A result, and the seconds that it waited and that its batch ran."""

    value: Result
    queued: float
    ran: float


@dataclass
class _Job(Generic[Item, Result]):
    item: Item
    group: Hashable
    future: "asyncio.Future[Timed[Result]]"
    submitted: float


class Batcher(Generic[Item, Result]):
    """Runs items of concurrent callers together, on ``runners`` threads.

    run: turns a batch into as many results, in order; called from several threads at once.
    group: items run together only if this is equal for them.
    max_batch_size: most items of one batch.

    If a batch fails, its items are run one by one, so that only the one at fault fails.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        group: Callable[[Item], Hashable],
        *,
        max_batch_size: int,
        runners: int,
        name: str,
    ) -> None:
        self._run, self._group = run, group
        self._max_batch_size = max_batch_size
        self._queue: deque[_Job[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(runners)
        ]
        for thread in self._threads:
            thread.start()

    async def submit(self, item: Item) -> Timed[Result]:
        """The result of ``item``; raises what ``run`` raised for it."""
        future = asyncio.get_running_loop().create_future()
        job = _Job[Item, Result](item, self._group(item), future, time.perf_counter())
        with self._changed:
            self._queue.append(job)
            self._changed.notify()
        result: Timed[Result] = await future
        return result

    def close(self) -> None:
        """Finish what is queued, then stop the runners."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            started = time.perf_counter()
            outcomes = self._outcomes([job.item for job in batch])
            ran = time.perf_counter() - started
            loop = batch[0].future.get_loop()
            loop.call_soon_threadsafe(_deliver, batch, outcomes, started, ran)

    def _take(self) -> list[_Job[Item, Result]] | None:
        """Wait for work; the next batch, or None once closed and empty.

        What waits is shared among the idle runners: two batches side by side are done sooner than
        one of twice the size.
        """
        with self._changed:
            self._idle += 1
            try:
                while True:
                    self._changed.wait_for(lambda: self._queue or self._closed)
                    if not self._queue:
                        return None
                    share = -(-len(self._queue) // self._idle)
                    if batch := self._next_group(min(share, self._max_batch_size)):
                        return batch
            finally:
                self._idle -= 1

    def _next_group(self, limit: int) -> list[_Job[Item, Result]]:
        """The first ``limit`` waiting jobs of the oldest one's group; drops those given up."""
        batch: list[_Job[Item, Result]] = []
        passed_over: list[_Job[Item, Result]] = []
        while self._queue and len(batch) < limit:
            job = self._queue.popleft()
            if job.future.cancelled():
                continue
            if batch and job.group != batch[0].group:
                passed_over.append(job)
            else:
                batch.append(job)
        self._queue.extendleft(reversed(passed_over))
        return batch

    def _outcomes(self, items: list[Item]) -> list[Result | BaseException]:
        try:
            return list(self._run(items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item])]


def _deliver(
    batch: list[_Job[Item, Result]],
    outcomes: list[Result | BaseException],
    started: float,
    ran: float,
) -> None:
    """Answer each caller of a batch; runs on the event loop that they wait on."""
    for job, outcome in zip(batch, outcomes, strict=True):
        if job.future.done():  # its caller has gone
            continue
        if isinstance(outcome, BaseException):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(Timed(outcome, started - job.submitted, ran))
