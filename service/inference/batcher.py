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

from service.inference.deadline import Deadline, Priority
from service.inference.niceness import lower_priority

Item = TypeVar("Item")
Result = TypeVar("Result")

# Of the batches that begin while both classes wait, every so many begins with a bulk item: bulk
# work gives way, but does not starve.
BULK_TURN = 8


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
    deadline: Deadline
    future: "asyncio.Future[Timed[Result]]"
    submitted: float


class Batcher(Generic[Item, Result]):
    """Runs items of concurrent callers together, on ``runners`` threads.

    run: turns a batch into as many results, in order, or the exceptions that items failed with;
        called from several threads at once.
    group: items run together only if this is equal for them.
    max_batch_size: most items of one batch.

    If a batch fails, its items are run one by one, so that only the one at fault fails. What has
    passed its deadline, or whose caller has gone, is dropped when its turn comes.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        group: Callable[[Item], Hashable],
        *,
        max_batch_size: int,
        runners: int,
        name: str,
    ) -> None:
        self._run, self._group = run, group
        self._max_batch_size = max_batch_size
        self._queues: dict[Priority, deque[_Job[Item, Result]]] = {p: deque() for p in Priority}
        self._changed = threading.Condition()
        self._begun = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(runners)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Items that no runner has taken yet."""
        return sum(map(len, self._queues.values()))

    async def submit(
        self, item: Item, deadline: Deadline, priority: Priority = Priority.INTERACTIVE
    ) -> Timed[Result]:
        """The result of ``item``; raises what ``run`` raised for it, or the deadline's Problem."""
        deadline.check("batching")
        future = asyncio.get_running_loop().create_future()
        job = _Job[Item, Result](item, self._group(item), deadline, future, time.perf_counter())
        with self._changed:
            if self._closed:  # nobody would ever take it
                raise RuntimeError("the batcher is closed")
            self._queues[priority].append(job)
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
        # whoever gave `run` may hold this batcher too, and is to be freed now, not once a
        # collection of garbage finds the ring
        del self._run

    def _work(self) -> None:
        lower_priority()
        while (batch := self._take()) is not None:
            started = time.perf_counter()
            outcomes = self._outcomes([job.item for job in batch])
            ran = time.perf_counter() - started
            loop = batch[0].future.get_loop()
            loop.call_soon_threadsafe(_deliver, batch, outcomes, started, ran)

    def _take(self) -> list[_Job[Item, Result]] | None:
        """Wait for work; the next batch, or None once closed and empty.

        What waits is shared among the runners, those too that are busy and soon free: two batches
        side by side are done sooner than one of twice the size.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self.waiting or self._closed)
                if not self.waiting:
                    return None
                share = -(-self.waiting // len(self._threads))
                if batch := self._next_batch(min(share, self._max_batch_size)):
                    return batch

    def _next_batch(self, limit: int) -> list[_Job[Item, Result]]:
        """Up to ``limit`` waiting jobs of one group: the oldest one's of the class whose turn it
        is, and then, if there is room, the other class's."""
        batch: list[_Job[Item, Result]] = []
        self._begun += 1
        classes = list(Priority)
        if self._begun % BULK_TURN == 0:
            classes.reverse()
        for priority in classes:
            _move(self._queues[priority], batch, limit)
        return batch

    def _outcomes(self, items: list[Item]) -> list[Result | BaseException]:
        try:
            return list(self._run(items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item])]


def _move(queue: deque[_Job[Item, Result]], batch: list[_Job[Item, Result]], limit: int) -> None:
    """Move jobs of the batch's group from ``queue``; drop those that are given up or too late."""
    passed_over: list[_Job[Item, Result]] = []
    while queue and len(batch) < limit:
        job = queue.popleft()
        if job.future.cancelled():
            continue
        if job.deadline.passed:
            job.future.get_loop().call_soon_threadsafe(_expire, job)
        elif batch and job.group != batch[0].group:
            passed_over.append(job)
        else:
            batch.append(job)
    queue.extendleft(reversed(passed_over))


def _expire(job: _Job[Item, Result]) -> None:
    if not job.future.done():
        job.future.set_exception(job.deadline.problem("its turn came"))


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
