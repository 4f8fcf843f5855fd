"""A model that is loaded, warm and answering, behind a batcher of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from service.imaging.resize import Placement
from service.inference.affinity import CorePool
from service.inference.batcher import Batcher
from service.inference.classifier import Classifier
from service.inference.deadline import Deadline, Priority
from service.inference.detector import Detector
from service.inference.niceness import lower_priority
from service.inference.task import Job, Row, Runner, Undecoded
from service.manifest import ModelManifest, Task
from service.package import ModelPackage
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from service.problems import Problem

RUNNERS: dict[Task, type[Detector] | type[Classifier]] = {
    "detection": Detector,
    "classification": Classifier,
}

PARAMETERS: dict[Task, type[RequestParameters]] = {
    "detection": DetectParameters,
    "classification": ClassifyParameters,
}
# The share of the newest measurement in the running mean of a model's pace.
NEWEST = 0.1
# The share of the last images that had company, from which on none is run as if it were alone: who
# comes while a lone run has all processors waits for them. Requests that overlap now and then would
# each be in the other's way; by this they are soon run side by side.
SELDOM = 0.2
# The share from which on a run keeps a processor. With less to do than there are processors, the
# scheduler's choice is as good, and better where another process has taken one.
MOSTLY = 0.5
# How much longer than expected an answer may take and still be in time. In overload every accepted
# request comes as late as it may, so without it half of them would be too late; and a queue that is
# shorter by a third is no less busy.
MARGIN = 1.5

STAGES = ("decode", "queue", "inference")

OnBatch = Callable[[str, int], None]
AnyJob = Job[Any] | Undecoded[Any]


@dataclass(frozen=True)
class Layout:
    """How a model is run: what `GET /v1/models` says of it.

    concurrent_runs: batches at once, each on ``threads`` threads of a CPU.
    latency_threads: of a batch that has the machine to itself.
    decode_threads: that decode photos before they are batched; with 0 each run decodes its own.
    session_bytes: by which the process grew when the model was loaded and warmed, at least the
        size of its graph.
    """

    provider: str
    precision: str
    threads: int
    concurrent_runs: int
    max_batch_size: int
    session_bytes: int
    latency_threads: int = 1
    decode_threads: int = 0


@dataclass(frozen=True)
class Done:
    """What came of one image.

    placement: of the photo on the model's input.
    stages: seconds of each of `STAGES` that the image went through, in the order in which it did.
    """

    placement: Placement
    rows: list[Row]
    stages: dict[str, float]


def open_runner(package: ModelPackage[Any]) -> Runner[Any]:
    """What answers with the package's graph."""
    return RUNNERS[package.manifest.task](package)


class ServedModel:
    """``on_batch`` hears the name of the model and the size of each batch that is run;
    ``images_in_service`` says how many images of all models are not answered yet. ``seats`` are
    those of the process."""

    def __init__(
        self,
        runner: Runner[Any],
        layout: Layout,
        on_batch: OnBatch,
        images_in_service: Callable[[], int],
        seats: CorePool,
    ) -> None:
        # fewer runs than processors leave a choice, and the scheduler knows who else is there
        fills = layout.threads == 1 and layout.concurrent_runs >= len(seats)
        self._seats = seats if fills else CorePool(())
        self._images_in_service = images_in_service
        self.runner, self.layout = runner, layout
        self.pending = 0  # images accepted and not yet answered
        self._seconds_per_image = 0.0  # of each of the runners
        self._ended = time.perf_counter()  # the last batch, or the time in which there was none
        self._noting = threading.Lock()
        self._company = 0.0  # share of the last images beside which there were others
        self._on_batch = on_batch
        self._batcher: Batcher[AnyJob, Done] = Batcher(
            self._run,
            self._group,
            max_batch_size=layout.max_batch_size,
            runners=layout.concurrent_runs,
            name=runner.manifest.name,
        )
        self._decoders = (
            ThreadPoolExecutor(layout.decode_threads, "decode", lower_priority)
            if layout.decode_threads
            else None
        )

    @property
    def manifest(self) -> ModelManifest:
        return self.runner.manifest

    @property
    def waiting(self) -> int:
        return self._batcher.waiting

    @property
    def expected_wait(self) -> float:
        """Seconds until an image that came now would be run, by the pace of the last. None are
        expected where nothing is before it: so the pace is measured anew, however slow it was."""
        return self._seconds_per_image * self.pending / self.layout.concurrent_runs

    def is_late(self, deadline: Deadline, images: int = 1) -> bool:
        """Whether ``images`` of one request that came now would not all be answered in time."""
        if not self.pending:
            return False
        turns = max(self.layout.max_batch_size, images / self.layout.concurrent_runs)
        own = self._seconds_per_image * turns
        return MARGIN * (self.expected_wait + own) > max(deadline.remaining, 0)

    def check_wait(self, deadline: Deadline, images: int = 1) -> None:
        """Raise Problem if they would not be answered in time: no is better said at once."""
        if self.is_late(deadline, images):
            wait = self.expected_wait
            raise Problem(
                "overloaded",
                f"{self.pending} images are before this one, {wait:.1f} s of work, and the request"
                f" has {deadline.remaining:.1f} s. Try again in a moment.",
                retry_after=max(wait - deadline.remaining, 0.0),
            )

    @contextmanager
    def hold(self, images: int) -> Iterator[None]:
        """Count images that have been accepted, until they are answered."""
        if not self.pending:
            self._ended = time.perf_counter()
        self.pending += images
        try:
            yield
        finally:
            self.pending -= images

    async def submit(self, job: AnyJob, deadline: Deadline, priority: Priority) -> Done:
        """Raises what decoding or running it raised, or the deadline's Problem."""
        before: dict[str, float] = {}
        if isinstance(job, Undecoded) and self._decoders is not None:
            began = time.perf_counter()
            loop = asyncio.get_running_loop()
            job = Job(await loop.run_in_executor(self._decoders, job.decode), job.query)
            before["decode"] = time.perf_counter() - began
        timed = await self._batcher.submit(job, deadline, priority)
        done = timed.value
        return Done(done.placement, done.rows, {**before, "queue": timed.queued, **done.stages})

    def note(self, seconds: float, images: int) -> None:
        """Learn the pace: a runner that is never idle takes ``seconds`` for so many ``images``."""
        pace = seconds / images
        if self._seconds_per_image:
            pace = NEWEST * pace + (1 - NEWEST) * self._seconds_per_image
        self._seconds_per_image = pace

    def close(self) -> None:
        """Finish what has been accepted, then stop the threads."""
        if self._decoders is not None:
            self._decoders.shutdown()
        self._batcher.close()

    def _group(self, job: AnyJob) -> Hashable:
        """Which images go together is known of those that are decoded."""
        return self.runner.group(job) if isinstance(job, Job) else None

    def _run(self, jobs: Sequence[AnyJob]) -> list[Done | Exception]:
        """Answer a batch, and learn the pace from it."""
        with self._seat():
            outcomes = self._answer(jobs)
        with self._noting:
            now = time.perf_counter()
            since, self._ended = now - self._ended, now
            self.note(since * self._busy_runners, len(jobs))
        return outcomes

    def _seat(self) -> AbstractContextManager[None]:
        """Where the calling thread is to run."""
        if self._company >= MOSTLY:
            return self._seats.held()
        self._seats.leave()
        return nullcontext()

    def _answer(self, jobs: Sequence[AnyJob]) -> list[Done | Exception]:
        """Decode what is not decoded, and run together what goes together."""
        decoded = [_decode(job) for job in jobs]
        groups: dict[Hashable, list[int]] = {}
        for number, one in enumerate(decoded):
            if isinstance(one, Decoded):
                groups.setdefault(self.runner.group(one.job), []).append(number)
        outcomes: list[Any] = list(decoded)  # where nothing else comes of it, its exception
        for numbers in groups.values():
            together = [outcomes[number] for number in numbers]
            for number, done in zip(numbers, self._run_together(together, len(jobs)), strict=True):
                outcomes[number] = done
        return outcomes

    def _run_together(self, decoded: "Sequence[Decoded]", taken: int) -> list[Done]:
        """``taken``: images that this runner has; it has company when there are others."""
        self._on_batch(self.manifest.name, len(decoded))
        accompanied = self._images_in_service() > taken
        alone = not accompanied and self._company < SELDOM
        began = time.perf_counter()
        rows = self.runner.run([one.job for one in decoded], alone=alone)
        seconds = time.perf_counter() - began
        accompanied = accompanied or self._images_in_service() > taken
        with self._noting:
            self._company = NEWEST * accompanied + (1 - NEWEST) * self._company
        return [
            Done(one.job.image.placement, found, {**one.stages, "inference": seconds})
            for one, found in zip(decoded, rows, strict=True)
        ]

    @property
    def _busy_runners(self) -> int:
        """Batches end so many times as often as one runner ends its own.

        The pace is taken from what lies between ends, and not from how long a batch ran: so it
        holds all that an image costs, the decoding that the processors do beside it too.
        """
        return min(max(self.pending, 1), self.layout.concurrent_runs)


@dataclass(frozen=True)
class Decoded:
    """A job that can be run, and what it took to get there."""

    job: Job[Any]
    stages: dict[str, float]


def _decode(job: AnyJob) -> Decoded | Exception:
    """What can be run of a job, or why there is nothing."""
    if isinstance(job, Job):
        return Decoded(job, {})
    began = time.perf_counter()
    try:
        image = job.decode()
    except Exception as error:  # whatever it is, it is this image's alone
        return error
    return Decoded(Job(image, job.query), {"decode": time.perf_counter() - began})
