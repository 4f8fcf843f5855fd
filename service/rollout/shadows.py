"""Copies of answered requests, run by the other version while nobody needs the processors."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from service.imaging.resize import ModelInput
from service.inference.deadline import Deadline, Priority, RequestPolicy
from service.inference.task import Job, Result
from service.manifest import ModelManifest, Task
from service.parameters import RequestParameters
from service.problems import Problem
from service.repository.repository import ModelRepository
from service.rollout.comparison import compare
from service.rollout.rollout import Rollout
from service.rollout.statistics import moments
from service.telemetry.logs import logger

# What waits, at most; the next is dropped.
MAX_REQUESTS, MAX_BYTES = 32, 32 * 2**20
# While callers' images wait, a copy does so for as long, and then runs all the same: so something
# is known of a service that is never idle, at the price of one run in this time.
YIELD_SECONDS, POLL_SECONDS = 1.0, 0.005
RUN_SECONDS = 60.0  # after which a copy is given up


@dataclass(frozen=True)
class Photo:
    """An image of a request that has been answered. ``seconds``: in inference."""

    content: bytes | ModelInput
    result: Result
    seconds: float

    @property
    def size(self) -> int:
        content = self.content
        return len(content) if isinstance(content, bytes) else content.pixels.nbytes


@dataclass(frozen=True)
class Sample:
    """A request that one version has answered.

    manifest: of that version. by_candidate: whether that was the one on trial.
    """

    rollout: Rollout
    task: Task
    manifest: ModelManifest
    by_candidate: bool
    parameters: RequestParameters
    photos: tuple[Photo, ...]
    offered: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return sum(photo.size for photo in self.photos)


class Shadows:
    """Runs samples one after the other on the event loop that they are offered on.

    is_busy: whether images of callers wait.
    running: what runs them; it ends with the last.
    """

    def __init__(self, repository: ModelRepository, is_busy: Callable[[], bool]) -> None:
        self._repository, self._is_busy = repository, is_busy
        self._queue: deque[Sample] = deque()
        self._bytes = 0
        self.running: asyncio.Task[None] | None = None

    async def offer(self, sample: Sample) -> None:
        """Queue ``sample``, or drop it where too much waits already. Never raises, nor waits."""
        full = len(self._queue) >= MAX_REQUESTS or self._bytes + sample.size > MAX_BYTES
        if full:
            sample.rollout.tally.photos += (0, len(sample.photos), 0)
            return
        self._queue.append(sample)
        self._bytes += sample.size
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self._run_all())

    async def _run_all(self) -> None:
        while self._queue:
            sample = self._queue.popleft()
            try:
                await self._wait_for_room(sample)
                for photo in sample.photos:
                    await self._run(sample, photo)
            except Exception:  # whatever it is, it is no caller's
                logger.exception("a comparison of %s failed", sample.rollout.name)
            finally:
                self._bytes -= sample.size

    async def _wait_for_room(self, sample: Sample) -> None:
        while self._is_busy() and time.monotonic() < sample.offered + YIELD_SECONDS:
            await asyncio.sleep(POLL_SECONDS)

    async def _run(self, sample: Sample, photo: Photo) -> None:
        """Have the other version answer ``photo``, and compare."""
        rollout = sample.rollout
        if rollout.phase != "running":
            return
        reference = rollout.baseline_name if sample.by_candidate else rollout.name
        policy = RequestPolicy(Deadline.after(RUN_SECONDS), Priority.BULK)
        try:
            async with self._repository.take(reference, sample.task, policy.deadline) as model:
                manifest = model.manifest
                job = Job(photo.content, model.predictor.to_query(sample.parameters), policy)
                result = await model.submit(job)
        except Exception as error:
            self._note_failure(sample, error)
            return
        first, second = photo.result, result
        seconds = photo.seconds, job.stages.get("inference", 0.0)
        if not sample.by_candidate:
            first, second, seconds, manifest = second, first, seconds[::-1], sample.manifest
        await asyncio.to_thread(compare, rollout.tally, manifest, first, second)
        rollout.tally.candidate.runs += moments(seconds[0])
        rollout.tally.baseline.runs += moments(seconds[1])

    def _note_failure(self, sample: Sample, error: Exception) -> None:
        """An image, or a want of room or time, is not the candidate's fault."""
        refused = isinstance(error, Problem) and error.code != "internal_error"
        if sample.by_candidate or refused:
            sample.rollout.tally.photos += (0, 1, 0)
            return
        logger.warning("%s failed on a copy: %s", sample.rollout.name, error)
        sample.rollout.tally.photos += (0, 0, 1)
