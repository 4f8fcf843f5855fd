"""A run over photos: each outcome goes to every output, until all are done or none can succeed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Generic

from rich.text import Text

from boxport_client import BoxportError, ConnectionFailed, Outcome
from boxport_client.cli._exit_status import (
    ALL_ANSWERED,
    BROKEN_PIPE,
    SOME_FAILED,
    Cause,
    affects_all,
    cause_of,
)
from boxport_client.cli._interruption import Interrupted, Interruptions
from boxport_client.cli._layouts import Layout, R, Result
from boxport_client.cli._outputs import Output
from boxport_client.cli._sources import Source
from boxport_client.cli._terminal import counted, progress_bar, say, say_error, stdout

GIVE_UP_AFTER = 10  # photos in a row for which the service could not be reached
MAX_SHOWN_LABELS = 5


@dataclass
class Tally:
    """The outcomes so far."""

    answered: int = 0
    causes: Counter[Cause] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)
    unreached: int = 0

    @property
    def done(self) -> int:
        return self.answered + sum(self.causes.values())

    @property
    def status(self) -> int:
        """The exit status; one answer shows that service and parameters are right."""
        if not self.causes:
            return ALL_ANSWERED
        if self.answered:
            return SOME_FAILED
        return max(cause.value for cause in self.causes)

    def add_answer(self, result: Result, counted: Counter[str]) -> None:
        """Count a photo that has a result."""
        self.unreached = 0
        self.answered += 1
        self.labels.update(counted)
        self.models.add(str(result.model))

    def add_failure(self, error: BoxportError) -> None:
        """Count a photo that failed."""
        self.unreached = self.unreached + 1 if isinstance(error, ConnectionFailed) else 0
        self.causes[cause_of(error)] += 1

    def summary(self, seconds: float) -> str:
        """One line for a person."""
        parts = [f"{counted(self.answered, 'photo')} answered"]
        if failed := sum(self.causes.values()):
            parts.append(f"{failed} failed")
        common = self.labels.most_common(MAX_SHOWN_LABELS)
        found = [f"{number} {label}" for label, number in common]
        if len(self.labels) > MAX_SHOWN_LABELS:
            found.append("…")
        if found:
            parts.append(", ".join(found))
        speed = f"{seconds:.1f} s ({self.done / max(seconds, 1e-9):.1f} photos/s)"
        return "; ".join([*parts, speed, *sorted(self.models)])

    def is_hopeless(self, error: BoxportError) -> bool:
        """Whether the photos that are left would fail like this one."""
        if isinstance(error, ConnectionFailed) and self.unreached >= GIVE_UP_AFTER:
            return True
        return self.answered == 0 and affects_all(error)


class Run(Generic[R]):
    """Passes the outcomes of ``sources`` to ``outputs``.

    shows_table: whether stdout is for a person; else results are written to it as they come.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        layout: Layout[R],
        outputs: Iterable[Output[R]],
        shows_table: bool,
    ) -> None:
        self._sources, self._layout = sources, layout
        self._outputs, self._shows_table = list(outputs), shows_table
        self._tally = Tally()

    def take(self, outcomes: Generator[Outcome[R], None, None]) -> int:
        """Take all outcomes, in the order of the sources, and return the exit status.

        Outputs are finished also if the run is interrupted, or the reader of stdout goes away, but
        not if there is no result at all. Raises OSError if one cannot be written.
        """
        begin = time.monotonic()
        end: Interrupted | None = None
        with Interruptions() as interruptions:
            try:
                self._take_all(outcomes, interruptions)
            except Interrupted as interrupted:
                end = interrupted
            except BrokenPipeError:
                return BROKEN_PIPE
            finally:
                with interruptions.held_back():
                    self._finish()
        self._sum_up(time.monotonic() - begin)
        self._say_what_is_left(end is not None)
        return self._tally.status if end is None else end.status

    def _take_all(
        self, outcomes: Generator[Outcome[R], None, None], interruptions: Interruptions
    ) -> None:
        streams = not self._shows_table
        with progress_bar(len(self._sources), "photos", streams) as report, closing(outcomes):
            for source, outcome in zip(self._sources, outcomes, strict=True):
                with interruptions.held_back():
                    error = self._pass_on(source, outcome)
                report(self._tally.done)
                if error is not None and self._tally.is_hopeless(error):
                    return

    def _pass_on(self, source: Source, outcome: Outcome[R]) -> BoxportError | None:
        error = outcome.error
        for output in list(self._outputs):
            try:
                if outcome.result is not None:
                    output.answered(source, outcome.result)
                elif outcome.error is not None:
                    output.failed(source, outcome.error)
            except BoxportError as failure:
                error = failure
            except OSError:
                self._outputs.remove(output)  # half written, so not to be put in place
                raise
        if error is not None:
            self._tally.add_failure(error)
            say_error(_named(source, error))
        elif outcome.result is not None:
            self._tally.add_answer(outcome.result, self._layout.counted(outcome.result))
        return error

    def _finish(self) -> None:
        if not self._tally.answered:
            return  # files of an earlier run are worth more than empty ones
        errors = []
        for output in self._outputs:
            try:
                output.finish()
            except (OSError, ValueError) as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _sum_up(self, seconds: float) -> None:
        if not self._tally.answered:
            return  # the error lines say it all
        if self._shows_table:
            stdout.print(Text(self._tally.summary(seconds)), soft_wrap=True)
        elif sys.stderr.isatty() and len(self._sources) > 1:
            say(self._tally.summary(seconds))

    def _say_what_is_left(self, interrupted: bool) -> None:
        left = len(self._sources) - self._tally.done
        if interrupted or left:
            why = "interrupted" if interrupted else "gave up"
            say_error(f"{why}: {counted(left, 'photo')} of {len(self._sources)} not sent")


def _named(source: Source, error: BoxportError) -> str:
    words = str(error)
    return words if words.startswith(source.name) else f"{source.name}: {words}"
