"""What a run prints; of several processes only the main one prints, but for errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from models.checkpoint_file import CheckpointError
from models.datasets.content import DataError
from models.training.devices import Process
from models.training.recipe import TrainingError
from service.imaging.files import PhotoError

# What a run may raise, with a message for who started it.
FAULTS = (CheckpointError, DataError, PhotoError, TrainingError)

console = Console(stderr=True)


@contextmanager
def one_line_errors(interrupted: str) -> Iterator[None]:
    """End the program with a line for `FAULTS`, or with ``interrupted`` after Ctrl-C."""
    try:
        yield
    except FAULTS as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print(interrupted)
        raise typer.Exit(130) from error


def say(process: Process, text: str) -> None:
    """Print a line, from the main process, without wrapping or markup."""
    if process.is_main:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def progress_bar(process: Process) -> Progress:
    """Bars that fit into 80 columns, with the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not process.is_main,
    )
