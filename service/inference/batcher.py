"""Continuous batching: a free runner takes what is waiting, at once, up to the batch limit.

An idle service adds no wait, and a busy one fills its batches by itself while the runners work.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from service.cpus import lower_priority
from service.inference.deadline import Priority
from service.inference.task import Job

Outcome = TypeVar("Outcome")

# Of the batches that begin while both classes wait, every so many begins with a bulk job: bulk work
# yields, but does not starve.
BULK_TURN = 8


class Batcher(Generic[Outcome]):
    """Runs jobs of concurrent callers together, on ``runners`` threads.

    run: turns a batch, whose jobs are of one group, into as many outcomes, in order, or the
        exceptions that jobs failed with; called from several threads at once.
    max_batch_size: most jobs of one batch.

    If a batch fails, its jobs are run one by one, so that only the one at fault fails. What passes
    its deadline in the queue, or whose caller goes, leaves it at once, and its bytes with it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], Sequence[Outcome | Exception]],
        *,
        max_batch_size: int,
        runners: int,
        name: str,
    ) -> None:
        self._run = run
        self._max_batch_size = max_batch_size
        self._queues: dict[Priority, deque[Job]] = {p: deque() for p in Priority}
        self._changed = threading.Condition()
        self._begun = 0
        self._running: dict[int, float] = {}  # when each runner's batch began, by thread
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(runners)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that no runner has taken yet."""
        return sum(map(len, self._queues.values()))

    @property
    def longest_run(self) -> float:
        """Seconds since the oldest batch that still runs has begun; 0 if none does."""
        began = min(tuple(self._running.values()), default=None)
        return 0.0 if began is None else time.perf_counter() - began

    async def submit(self, job: Job) -> Outcome:
        """The outcome of ``job``, whose stages then have the seconds in the "queue".

        Raises what ``run`` raised for it, or the deadline's Problem. What a runner has taken is
        finished though it became late.
        """
        deadline = job.policy.deadline
        deadline.check("batching")
        loop = asyncio.get_running_loop()
        job.future = loop.create_future()
        job.submitted = time.perf_counter()
        with self._changed:
            if self._closed:  # no runner would ever take it
                raise RuntimeError("the batcher is closed")
            self._queues[job.policy.priority].append(job)
            self._changed.notify()
        timer = loop.call_later(deadline.remaining, self._expire, job)
        try:
            outcome: Outcome = await job.future
        finally:
            timer.cancel()
            if job.future.cancelled():
                job.abandoned = not self._withdraw(job) and not job.ended
        return outcome

    def close(self) -> None:
        """Finish what is queued, then stop the runners."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        # the owner of `run` may hold this batcher: free both now, and not once the garbage
        # collector finds the cycle
        del self._run

    def _withdraw(self, job: Job) -> bool:
        """Take ``job`` out of its queue; False if a runner was sooner."""
        with self._changed:
            try:
                self._queues[job.policy.priority].remove(job)
            except ValueError:
                return False
        return True

    def _expire(self, job: Job) -> None:
        if self._withdraw(job):
            _refuse_late(job)

    def _work(self) -> None:
        lower_priority()
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for a batch and run it; False once closed and empty. A call of its own, so that a
        runner that waits for the next holds nothing of the last."""
        batch = self._take()
        if batch is None:
            return False
        began = time.perf_counter()
        for job in batch:
            job.stages["queue"] = began - job.submitted
        self._running[threading.get_ident()] = began
        outcomes = self._outcomes(batch)
        del self._running[threading.get_ident()]
        loop = batch[0].future.get_loop()
        loop.call_soon_threadsafe(_deliver, batch, outcomes)
        return True

    def _take(self) -> list[Job] | None:
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

    def _next_batch(self, limit: int) -> list[Job]:
        """Up to ``limit`` waiting jobs of one group: the oldest one's of the class whose turn it
        is, and then, if there is room, the other class's."""
        batch: list[Job] = []
        self._begun += 1
        classes = list(Priority)
        if self._begun % BULK_TURN == 0:
            classes.reverse()
        for priority in classes:
            _move(self._queues[priority], batch, limit)
        return batch

    def _outcomes(self, jobs: list[Job]) -> list[Outcome | Exception]:
        try:
            return list(self._run(jobs))
        except Exception as error:
            if len(jobs) == 1:
                return [error]
            return [outcome for job in jobs for outcome in self._outcomes([job])]


def _move(queue: deque[Job], batch: list[Job], limit: int) -> None:
    """Move jobs of the batch's group from ``queue``; drop those that are given up or too late."""
    passed_over: list[Job] = []
    while queue and len(batch) < limit:
        job = queue.popleft()
        if job.future.cancelled():
            continue
        if job.policy.deadline.passed:  # and the event loop has not come to its timer
            job.future.get_loop().call_soon_threadsafe(_refuse_late, job)
        elif batch and job.group != batch[0].group:
            passed_over.append(job)
        else:
            batch.append(job)
    queue.extendleft(reversed(passed_over))


def _refuse_late(job: Job) -> None:
    if not job.future.done():
        job.future.set_exception(job.policy.deadline.problem("its turn came"))


def _deliver(batch: list[Job], outcomes: Sequence[object]) -> None:
    """Answer each caller of a batch; runs on the event loop that they wait on."""
    for job, outcome in zip(batch, outcomes, strict=True):
        job.ended = True
        if job.on_end is not None:
            job.on_end()
        if job.future.done():  # its caller has gone
            continue
        if isinstance(outcome, BaseException):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
