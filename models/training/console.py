"""What a run prints beside its errors; of several processes only the main one prints."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from models.training.devices import Process

console = Console(stderr=True)


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
