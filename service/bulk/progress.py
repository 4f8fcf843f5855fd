"""How far a job is, on standard error: a bar for people, a line now and then for logs."""

import sys
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

SECONDS_A_LINE = 30.0


class Pace:
    """Counts what this run has answered; the first shard's begin is when its time begins."""

    def __init__(self) -> None:
        self.count = Count()
        self._began: float | None = None
        self._ended = 0.0

    def add(self, outcome: Outcome) -> None:
        self._ended = time.monotonic()
        if self._began is None:
            self._began = self._ended - outcome.seconds
        self.count += Count(outcome.photos, outcome.failed)

    @property
    def seconds(self) -> float:
        return 0.0 if self._began is None else self._ended - self._began

    @property
    def per_second(self) -> float:
        """Photos; starting Ray and loading the model do not count."""
        return self.count.photos / self.seconds if self.seconds else 0.0


class Told:
    """Is told of each shard; shows it on a terminal as a bar, elsewhere as lines."""

    def __init__(self, total: int, done: int) -> None:
        self.pace = Pace()
        self._total, self._done = total, done
        self._last = time.monotonic()
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("photos", total=total, completed=done, pace="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._bar:
            yield

    def add(self, outcome: Outcome) -> None:
        self.pace.add(outcome)
        self._bar.update(self._task, advance=outcome.photos, pace=self._words)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last >= SECONDS_A_LINE:
            self._last = now
            done = self._done + self.pace.count.photos
            print(f"boxport: {done} of {self._total} photos, {self._words}", file=sys.stderr)

    @property
    def _words(self) -> str:
        failed = self.pace.count.failed
        return f"{self.pace.per_second:.1f}/s" + (f", {failed} failed" if failed else "")
