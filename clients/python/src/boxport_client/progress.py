"""How far a run over many photos has come, told to a person or a function."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Optional, Union

from boxport_client.errors import MissingExtra

Told = Callable[[int, Optional[int]], None]
Progress = Union[bool, Told]


@contextmanager
def telling(progress: Progress, total: int | None) -> Iterator[Told]:
    """A function to be told how many are done; it knows of how many, if that is known.

    progress: True shows a bar on stderr; a function is called as this one is, with ``total``.

    Raises MissingExtra if there is to be a bar and rich is not installed.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield _tell_nobody
        return
    check_progress(progress)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("photos"), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("", total=total)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def check_progress(progress: Progress) -> None:
    """Raise MissingExtra if ``progress`` cannot be shown."""
    if progress is True and importlib.util.find_spec("rich") is None:
        raise MissingExtra("progress=True needs rich: pip install 'boxport-client[progress]'")


def _tell_nobody(done: int, total: int | None) -> None:
    pass
