"""What a run says on the terminal, beside its errors: one process speaks for all."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from models.training.devices import Place

console = Console(stderr=True)


def say(place: Place, text: str) -> None:
    """A line, as it is: long ones are left to the terminal to wrap."""
    if place.leads:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def progress_bar(place: Place) -> Progress:
    """Bars that fit into 80 columns, with the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not place.leads,
    )
