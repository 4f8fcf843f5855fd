"""Progress of long work, told to whoever shows it."""

from collections.abc import Callable, Sequence

OnStep = Callable[[str], None]  # a step begins, or a note on it
OnProgress = Callable[[int, int], None]  # how many of how many are done


class ProgressReporter:
    """Takes note of the steps of an export or a conversion; this one shows nothing."""

    def step(self, name: str) -> None:
        """A step begins."""

    def update(self, done: int, total: int) -> None:
        """So much of the present step is done."""

    def table(self, title: str, rows: Sequence[Sequence[str]]) -> None:
        """Something that is to be looked through before the work goes on."""


SILENT = ProgressReporter()
ignore_step: OnStep = SILENT.step
ignore_progress: OnProgress = SILENT.update
