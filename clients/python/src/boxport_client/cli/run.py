"""A run over photos: each outcome goes to every output, until all are done or nothing helps."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Generic

from rich.console import Console
from rich.text import Text

from boxport_client.cli.endings import (
    ALL_ANSWERED,
    NOBODY_READS,
    SOME_FAILED,
    Blame,
    blame,
    is_the_same_for_all,
)
from boxport_client.cli.interruption import Interrupted, Interruptions
from boxport_client.cli.layouts import Layout, R, Result
from boxport_client.cli.outputs import Output
from boxport_client.cli.sources import Source
from boxport_client.cli.terminal import progress_bar, say, say_error
from boxport_client.errors import BoxportError, ConnectionFailed
from boxport_client.many import Outcome

GIVE_UP_AFTER = 10  # photos in a row for which there was no service
SHOWN_LABELS = 5


@dataclass
class Tally:
    """What became of the photos so far."""

    answered: int = 0
    blames: Counter[Blame] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)
    unreached: int = 0

    @property
    def done(self) -> int:
        return self.answered + sum(self.blames.values())

    @property
    def status(self) -> int:
        """The exit status that it comes to; one answer shows that service and question are good."""
        if not self.blames:
            return ALL_ANSWERED
        if self.answered:
            return SOME_FAILED
        return max(blame.value for blame in self.blames)

    def add_answer(self, result: Result, counted: Counter[str]) -> None:
        """Count a photo that was answered."""
        self.unreached = 0
        self.answered += 1
        self.labels.update(counted)
        self.models.add(str(result.model))

    def add_failure(self, error: BoxportError) -> None:
        """Count a photo that was not."""
        self.unreached = self.unreached + 1 if isinstance(error, ConnectionFailed) else 0
        self.blames[blame(error)] += 1

    def summary(self, seconds: float) -> str:
        """One line for a person."""
        parts = [f"{_photos(self.answered)} answered"]
        if failed := sum(self.blames.values()):
            parts.append(f"{failed} failed")
        common = self.labels.most_common(SHOWN_LABELS)
        found = [f"{number} {label}" for label, number in common]
        if len(self.labels) > SHOWN_LABELS:
            found.append("…")
        if found:
            parts.append(", ".join(found))
        speed = f"{seconds:.1f} s ({self.done / max(seconds, 1e-9):.1f} photos/s)"
        return "; ".join([*parts, speed, *sorted(self.models)])

    def is_hopeless(self, error: BoxportError) -> bool:
        """Whether the photos that are left would end as this one did."""
        if isinstance(error, ConnectionFailed) and self.unreached >= GIVE_UP_AFTER:
            return True
        return self.answered == 0 and is_the_same_for_all(error)


class Run(Generic[R]):
    """Brings what became of ``sources`` to ``outputs``.

    shows_table: whether stdout is for a person; else it is written to as answers come.
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
        """Take all outcomes, which come in the order of the sources; gives the exit status.

        Outputs are finished in any case, unless there is no answer at all: what is interrupted,
        also by a reader of stdout that went away, keeps what came until then. Raises OSError where
        one cannot be written.
        """
        begin = time.monotonic()
        end: Interrupted | None = None
        with Interruptions() as interruptions:
            try:
                self._take_all(outcomes, interruptions)
            except Interrupted as interrupted:
                end = interrupted
            except BrokenPipeError:
                return NOBODY_READS
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
        with progress_bar(len(self._sources), "photos", streams) as tell, closing(outcomes):
            for source, outcome in zip(self._sources, outcomes):
                with interruptions.held_back():
                    error = self._tell_outputs(source, outcome)
                tell(self._tally.done)
                if error is not None and self._tally.is_hopeless(error):
                    return

    def _tell_outputs(self, source: Source, outcome: Outcome[R]) -> BoxportError | None:
        error = outcome.error
        for output in list(self._outputs):
            try:
                if outcome.result is not None:
                    output.answered(source, outcome.result)
                elif outcome.error is not None:
                    output.failed(source, outcome.error)
            except BoxportError as fault:
                error = fault
            except OSError:
                self._outputs.remove(output)  # what is half written is not to be put in place
                raise
        if error is not None:
            self._tally.add_failure(error)
            say_error(_told(source, error))
        elif outcome.result is not None:
            self._tally.add_answer(outcome.result, self._layout.counted(outcome.result))
        return error

    def _finish(self) -> None:
        if not self._tally.answered:
            return  # files of an earlier run are worth more than empty ones
        faults = []
        for output in self._outputs:
            try:
                output.finish()
            except (OSError, ValueError) as error:
                faults.append(error)
        if faults:
            raise faults[0]

    def _sum_up(self, seconds: float) -> None:
        if not self._tally.answered:
            return  # the lines on what failed say it all
        if self._shows_table:
            Console(highlight=False).print(Text(self._tally.summary(seconds)), soft_wrap=True)
        elif sys.stderr.isatty() and len(self._sources) > 1:
            say(self._tally.summary(seconds))

    def _say_what_is_left(self, interrupted: bool) -> None:
        left = len(self._sources) - self._tally.done
        if interrupted:
            say_error(f"interrupted: {_photos(left)} of {len(self._sources)} not asked about")
        elif left:
            say_error(f"gave up: {_photos(left)} of {len(self._sources)} not asked about")


def _told(source: Source, error: BoxportError) -> str:
    words = str(error)
    return words if words.startswith(source.name) else f"{source.name}: {words}"


def _photos(number: int) -> str:
    return f"{number} photo" if number == 1 else f"{number} photos"
