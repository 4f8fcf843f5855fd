"""What a model's recent runs say of the next: how long it will take, and what runs beside it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.inference.deadline import Deadline
from service.problems import Problem

# Of the newest measurement in an exponential moving average.
EMA_WEIGHT = 0.1
# How much longer than expected an answer may take and still be in time. In overload every accepted
# request comes as late as it may, so without it half of them would be too late; and a queue that is
# shorter by a third is no less busy.
LATE_TOLERANCE = 1.5
# The share of recent runs that were concurrent with others, below which a run takes the latency
# session. While that has all processors the next request waits for them: if requests overlap often,
# runs of one thread side by side are better.
LATENCY_MODE_MAX = 0.2
# The share from which on runs are pinned to processors. With less to do than there are processors,
# the scheduler's choice is as good, and better where another process has taken one.
PIN_MIN = 0.5


class Pace:
    """Expects how long images will wait for a model, by the pace of the last.

    max_batch_size, concurrent_runs: of the model's layout.
    """

    def __init__(self, max_batch_size: int, concurrent_runs: int) -> None:
        self._max_batch_size, self._concurrent_runs = max_batch_size, concurrent_runs
        self._lock = threading.Lock()
        self.pending = 0  # images that are here and not yet answered
        self._seconds_per_image = 0.0  # of each of the runs
        self._ended = time.perf_counter()  # the last batch, or the time in which there was none

    @property
    def seconds_per_image(self) -> float:
        """Of each of the runs, of late; 0 before the first."""
        return self._seconds_per_image

    @property
    def expected_wait(self) -> float:
        """Seconds until an image that came now would be run. None are expected where nothing is
        before it: so the pace is measured anew, however slow it was."""
        return self._seconds_per_image * self.pending / self._concurrent_runs

    def is_late(self, deadline: Deadline, images: int = 1) -> bool:
        """Whether ``images`` of one request that came now would not all be answered in time."""
        if not self.pending:
            return False
        turns = max(self._max_batch_size, images / self._concurrent_runs)
        own = self._seconds_per_image * turns
        return LATE_TOLERANCE * (self.expected_wait + own) > max(deadline.remaining, 0)

    def check(self, deadline: Deadline, images: int = 1) -> None:
        """Raise Problem if they would not be answered in time: better said at once."""
        if self.is_late(deadline, images):
            wait = self.expected_wait
            raise Problem(
                "overloaded",
                f"{self.pending} images are before this one, {wait:.1f} s of work, and the request"
                f" has {deadline.remaining:.1f} s. Try again in a moment.",
                retry_after=max(wait - deadline.remaining, 0.0),
            )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Count an image that is here, to be decoded and run, until it is answered.

        One that is still on its way counts for nothing: nobody waits for it but its own request.
        """
        if not self.pending:
            self._ended = time.perf_counter()
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1

    def batch_ended(self, images: int) -> None:
        """Learn from a batch that has just ended.

        The pace is taken from the time between ends, and not from how long a batch ran: so it holds
        all that an image costs, the decoding that the processors do beside it too. With several
        runs busy, batches end so many times as often as one run ends its own.
        """
        with self._lock:
            now = time.perf_counter()
            since, self._ended = now - self._ended, now
            busy = min(max(self.pending, 1), self._concurrent_runs)
            self.note(since * busy, images)

    def note(self, seconds: float, images: int) -> None:
        """Learn that a run that is never idle takes ``seconds`` for so many ``images``."""
        pace = seconds / images
        if self._seconds_per_image:
            pace = EMA_WEIGHT * pace + (1 - EMA_WEIGHT) * self._seconds_per_image
        self._seconds_per_image = pace


class Concurrency:
    """Whether a model's runs have the machine to themselves, now and of late.

    images_in_service: how many images of all models are here and not answered yet.
    """

    def __init__(self, images_in_service: Callable[[], int]) -> None:
        self._images_in_service = images_in_service
        self._lock = threading.Lock()
        self._concurrency_ema = 0.0  # the share of runs beside which there were other images

    @property
    def pin(self) -> bool:
        """Whether runs should be pinned to processors."""
        return self._concurrency_ema >= PIN_MIN

    @contextmanager
    def measure(self, own: int) -> Iterator[bool]:
        """Measure around a run of a thread that has taken ``own`` images; gives whether it should
        take the latency session."""
        shared = self._images_in_service() > own
        yield not shared and self._concurrency_ema < LATENCY_MODE_MAX
        shared = shared or self._images_in_service() > own
        with self._lock:
            self._concurrency_ema = EMA_WEIGHT * shared + (1 - EMA_WEIGHT) * self._concurrency_ema
