"""What the commands share: how they show progress, and how they fail in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from export.exporter import ExportError
from export.label_files import LabelsError
from export.parity import ParityError
from export.photos import PhotoError
from models.weights import CheckpointError
from service.package import PackageError

FAULTS = (ExportError, LabelsError, CheckpointError, PhotoError, ParityError, PackageError, OSError)

console = Console(stderr=True)


@dataclass(frozen=True)
class Steps:
    """Long work on a terminal: its steps by name, and how far the present one has come."""

    progress: Progress
    bar: TaskID

    def on_step(self, step: str) -> None:
        self.progress.console.print(f"[dim]•[/] {escape(step)}", highlight=False, soft_wrap=True)
        self.progress.update(self.bar, description=escape(step), completed=0, total=None)

    def on_progress(self, done: int, total: int) -> None:
        self.progress.update(self.bar, completed=done, total=total)


@contextmanager
def shown_steps() -> Iterator[Steps]:
    with Progress(console=console, transient=True) as progress:
        yield Steps(progress, progress.add_task("", total=None))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A fault that the user can mend ends the command with one line and the exit status 1."""
    try:
        yield
    except FAULTS as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
