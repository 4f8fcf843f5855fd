"""What the commands share: how they show progress, and how they fail in one line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from export.exporter import ExportError
from export.labels import LabelsError
from export.onnx.checks import GraphError
from export.package_writer import OutputError
from export.parity import ParityError
from export.parity.bisection import Bisection, Layer, LocatedParityError
from export.precision.conversion import ConversionError
from models.weights import CheckpointError
from service.imaging.files import PhotoError
from service.package import PackageError
from service.signature import SignatureError

FAULTS = (
    ExportError,
    OutputError,
    LabelsError,
    CheckpointError,
    PhotoError,
    GraphError,
    ParityError,
    ConversionError,
    PackageError,
    SignatureError,
    OSError,
)
ENDINGS = (signal.SIGTERM, signal.SIGHUP)  # as Ctrl-C does, which Python itself turns into one

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
    """A fault that the user can mend ends the command with one line and the exit status 1, an
    interruption with the status that shells expect."""
    try:
        with _ended_in_order():
            yield
    except KeyboardInterrupt as end:
        number = end.args[0] if end.args else signal.SIGINT
        console.print("[red]error:[/] interrupted; nothing unfinished is left, so run it again")
        raise typer.Exit(128 + number) from end
    except FAULTS as error:
        line = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            line = f"{error.filename}: {error.strerror}"
        console.print(f"[red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
        if isinstance(error, LocatedParityError):
            show_bisection(error.bisection)
        raise typer.Exit(1) from error


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """While it lasts, `ENDINGS` raise KeyboardInterrupt, so that what was begun is cleared away."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, end) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_bisection(bisection: Bisection) -> None:
    """The node at which a graph parts from its reference, below the last that it reads from."""
    if bisection.parted is None:
        console.print(
            f"Each of {bisection.compared} nodes, run alone on the values of {bisection.reference},"
            " agrees: the difference lies in how ONNX Runtime joins them, or in how they add up.",
            highlight=False,
        )
        return
    table = Table(title=f"First node to part from {bisection.reference}", title_justify="left")
    for column in ("", "operator", "output", "module", "difference"):
        table.add_column(column, overflow="fold")
    if bisection.agreed is not None:
        add_layer(table, "agrees", bisection.agreed)
    add_layer(table, "parts", bisection.parted)
    console.print(table, highlight=False)


def add_layer(table: Table, verdict: str, layer: Layer) -> None:
    cells = (verdict, layer.op_type, layer.output, layer.module or "", str(layer.measured))
    table.add_row(*(escape(cell) for cell in cells))
