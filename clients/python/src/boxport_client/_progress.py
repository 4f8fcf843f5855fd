"""The progress of a run over many photos, reported to a person or to a function."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from boxport_client._errors import MissingExtra

Report = Callable[[int, int | None], None]
Progress = bool | Report


@contextmanager
def reporting(progress: Progress, total: int | None) -> Iterator[Report]:
    """A function that is called with how many are done, and of how many, None if unknown.

    progress: True shows a bar on stderr; a function is called itself.

    Raises MissingExtra if there is to be a bar and rich is not installed.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda done, total: None
        return
    check_progress(progress)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("photos"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def check_progress(progress: Progress) -> None:
    """Raise MissingExtra if ``progress`` cannot be shown."""
    if progress is True and importlib.util.find_spec("rich") is None:
        raise MissingExtra("progress=True needs rich: pip install 'boxport-client[progress]'")
