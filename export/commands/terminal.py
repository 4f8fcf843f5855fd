"""What the commands share: progress, results, and errors of one line."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from export.adopt.plan import Finding
from export.errors import ExportError
from export.parity.bisection import Bisection, LocatedParityError
from export.progress import ProgressReporter
from export.report.tables import UNKNOWN_LICENCE, is_permissive
from models.checkpoint_file import CheckpointError
from service.imaging.files import PhotoError
from service.manifest import ModelManifest, PackageManifest
from service.package import PackageError
from service.providers import ProviderError
from service.signature import SignatureError
from service.terminal import one_line, printable

FAULTS = (
    *(ExportError, CheckpointError, PhotoError, PackageError, ProviderError, SignatureError),
    OSError,
)
INTERRUPTIONS = (signal.SIGTERM, signal.SIGHUP)  # beside Ctrl-C, which Python itself handles

console = Console(stderr=True)


class TerminalProgress(ProgressReporter):
    """Shows steps by name, and a bar for the present one."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._bar = progress, progress.add_task("", total=None)

    def step(self, name: str) -> None:
        self._progress.console.print(f"[dim]•[/] {escape(name)}", highlight=False, soft_wrap=True)
        self._progress.update(self._bar, description=escape(name), completed=0, total=None)

    def update(self, done: int, total: int) -> None:
        self._progress.update(self._bar, completed=done, total=total)

    def table(self, title: str, rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=escape(title), title_justify="left", box=box.SIMPLE, show_header=False)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._progress.console.print(table)


@contextmanager
def shown_progress() -> Iterator[TerminalProgress]:
    with Progress(console=console, transient=True) as progress:
        yield TerminalProgress(progress)


def show_package(manifest: PackageManifest, output: Path) -> None:
    """What was proven and measured of the package that was written to ``output``."""
    parity = manifest.parity
    parts = [parity.compared_with, f"{parity.agreeing:.1%} of the answers agree"]
    what = "distances" if manifest.task == "novelty" else "scores"
    parts.append(f"{what} within {parity.max_score_difference:.1e}")
    if parity.max_box_difference_px is not None:
        parts.append(f"boxes within {parity.max_box_difference_px:.1e} px")
    if parity.max_contour_difference_px is not None:
        parts.append(f"contours within {parity.max_contour_difference_px:.1e} px")
    console.print(f"parity: {', '.join(parts)}", soft_wrap=True)
    for allowance in parity.allowances or ():
        number = "" if allowance.answers is None else f", {allowance.answers} such"
        console.print(f"  {allowance.cause} ({allowance.allowed}{number})", soft_wrap=True)
    if manifest.accuracy is not None:
        metrics = (f"{name} {value:.3f}" for name, value in manifest.accuracy.metrics.items())
        console.print(f"accuracy: {', '.join(metrics)}", soft_wrap=True)
    console.print(f"wrote {output}", soft_wrap=True)


def show_findings(findings: Sequence[Finding]) -> None:
    """What was found out and why; what could not be known stands out."""
    table = Table(title="What was found out", title_justify="left")
    for column in ("", "value", "why"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        name, value, why = (
            escape(printable(text)) for text in (finding.name, finding.value, finding.why)
        )
        table.add_row(name, value, why if finding.known else f"[yellow]assumed: {why}[/]")
    console.print(table, highlight=False)


def show_adoption(manifest: ModelManifest) -> None:
    """What the owner of an adopted package has yet to see to."""
    licence = manifest.provenance.licence
    if licence == UNKNOWN_LICENCE:
        console.print(
            "[yellow]the licence of the weights is unknown: find it out before serving[/]"
        )
    elif not is_permissive(licence):
        console.print(
            f"[yellow]the weights are under {escape(licence)}: see what it asks of a service[/]",
            soft_wrap=True,
        )
    if manifest.parity.unproven:
        console.print(
            f"[yellow]unproven: {', '.join(manifest.parity.unproven)}; both sides of the comparison"
            " share it. --annotations with --images proves it[/]",
            soft_wrap=True,
        )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """An expected error ends the command with one line and the exit status 1, an interruption with
    the status that shells expect."""
    try:
        with _interruptible():
            yield
    except KeyboardInterrupt as end:
        number = end.args[0] if end.args else signal.SIGINT
        console.print("[red]error:[/] interrupted; nothing unfinished is left, so run it again")
        raise typer.Exit(128 + number) from end
    except FAULTS as error:
        line = one_line(error)
        if isinstance(error, OSError) and error.filename is not None:
            line = f"{error.filename}: {error.strerror}"
        console.print(f"[red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
        if isinstance(error, LocatedParityError):
            show_bisection(error.bisection)
        raise typer.Exit(1) from error


@contextmanager
def _interruptible() -> Iterator[None]:
    """While it lasts, `INTERRUPTIONS` raise KeyboardInterrupt, so that unfinished work is
    deleted."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, end) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_bisection(bisection: Bisection) -> None:
    """The first node that differs from its reference, and the last that it reads from."""
    if bisection.differs is None:
        console.print(
            f"Each of {bisection.compared} nodes, run alone on the values of {bisection.reference},"
            " agrees: the difference lies in how ONNX Runtime fuses them, or in how rounding adds"
            " up.",
            highlight=False,
        )
        return
    table = Table(title=f"First node that differs from {bisection.reference}", title_justify="left")
    for column in ("", "operator", "output", "module", "difference"):
        table.add_column(column, overflow="fold")
    for verdict, layer in (("agrees", bisection.agrees), ("differs", bisection.differs)):
        if layer is not None:
            module, difference = layer.module or "", str(layer.difference)
            cells = (verdict, layer.op_type, layer.output, module, difference)
            table.add_row(*(escape(cell) for cell in cells))
    console.print(table, highlight=False)
