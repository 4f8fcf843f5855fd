"""The progress of a job on standard error: a bar on a terminal, lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from service.bulk.actor import Outcome
from service.bulk.parts import Count
from service.terminal import say

SECONDS_PER_LINE = 30.0


class ProgressReporter:
    """Counts the photos that this run answers, and shows them while `shown`.

    total: photos of the job. done: of these, how many were answered before.
    count: of this run. Its time begins with the first shard, not with the start of Ray.
    """

    def __init__(self, total: int, done: int) -> None:
        self.count = Count()
        self._total, self._done = total, done
        self._began: float | None = None
        self._ended = 0.0
        self._printed = time.monotonic()
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("photos", total=total, completed=done, speed="")

    @property
    def seconds(self) -> float:
        return 0.0 if self._began is None else self._ended - self._began

    @property
    def per_second(self) -> float:
        """Photos; starting Ray and loading the model do not count."""
        return self.count.photos / self.seconds if self.seconds else 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._bar:
            yield

    def add(self, outcome: Outcome) -> None:
        self._ended = now = time.monotonic()
        if self._began is None:
            self._began = now - outcome.seconds
        self.count += Count(outcome.photos, outcome.failed)
        failed = f", {self.count.failed} failed" if self.count.failed else ""
        speed = f"{self.per_second:.1f}/s{failed}"
        self._bar.update(self._task, advance=outcome.photos, speed=speed)
        if not self._console.is_terminal and now - self._printed >= SECONDS_PER_LINE:
            self._printed = now
            say(f"{self._done + self.count.photos} of {self._total} photos, {speed}")
