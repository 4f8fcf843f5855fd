"""`python -m export evaluate`: measure packages, their network and a server on the same photos."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

from export.commands.terminal import console, one_line_errors
from export.evaluation.column import Column, PackageColumn
from export.evaluation.comparison import Comparison, compare
from export.evaluation.network import NetworkColumn
from export.evaluation.photo_set import EvaluationSet, PhotoSet, read_photo_set
from export.evaluation.server import open_server
from export.evaluation.table import to_table, to_verdict
from export.progress import OnProgress
from service.manifest import ModelManifest
from service.package import open_package

GATE_FAILED = 2


def evaluate(
    packages: Annotated[
        list[Path],
        typer.Argument(
            help="Folders STORE/NAME/VERSION of one or more packages with the same labels.",
            show_default=False,
        ),
    ],
    images: Annotated[
        Path,
        typer.Option(
            help="Folder of the photos. For a classifier's top-1 and top-5 it holds a folder of"
            " photos for each class, called as the label or its id."
        ),
    ],
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="COCO instances file of the photos, to measure a detector's AP; its categories"
            " must be the labels, by id and name."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint that the first package was exported from: the PyTorch network becomes"
            " the reference."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="A running server, such as http://localhost:3000: each package that it serves is"
            " measured through HTTP too."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Points of a hundred by which a column may fall below the reference. Default: 0.5"
            " of AP or top-1; 3 of agreement, where nothing is known of the photos.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Look at so many photos only, spread over all.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures to this file.", show_default=False),
    ] = None,
) -> None:
    r"""Measure packages on the same photos, side by side, and stop a release that lost accuracy.

    The first column is the reference: PyTorch with --weights, else the first
    package. With --annotations COCO's AP is measured, with a folder for each
    class top-1 and top-5; without either, how far the others agree with the
    first.

    Exit status: 0 if no column is worse than the tolerance allows, 2 if one is,
    1 if it could not be measured.

    On a terminal the figures come as a table, into a pipe as JSON with the table
    on stderr. For example, to hold an int8 package, and both behind a server, to
    the fp32 package:

        python -m export evaluate my_models/pets/1 my_models/pets_int8/1 \
            --annotations data/instances_val.json --images data/val \
            --url http://localhost:3000
    """
    with one_line_errors(), ExitStack() as stack:
        _require_writable(json_file)
        opened = [open_package(folder, threads=0) for folder in packages]
        manifests = [package.manifest for package in opened]
        photos = read_photo_set(manifests[0], EvaluationSet(images, annotations), limit, _note)
        columns: list[Column] = [PackageColumn(package) for package in opened]
        if weights is not None:
            columns.insert(0, _read_network(weights, manifests[0]))
        if url is not None:
            columns += stack.enter_context(open_server(url, manifests))
        comparison = _compare(columns, photos, tolerance)
        _show(comparison, json_file)
    if comparison.failures:
        raise typer.Exit(GATE_FAILED)


def _read_network(weights: Path, manifest: ModelManifest) -> NetworkColumn:
    column = NetworkColumn(weights, manifest)
    if column.sha256 != manifest.provenance.weights_sha256:
        _note(f"{weights} is not the file that {manifest.name} was exported from")
    return column


def _note(note: str) -> None:
    console.print(escape(f"note: {note}"), highlight=False, soft_wrap=True)


def _require_writable(json_file: Path | None) -> None:
    """Raise OSError now rather than after minutes of work."""
    if json_file is None:
        return
    if not json_file.parent.is_dir():
        raise FileNotFoundError(f"{json_file}: there is no folder {json_file.parent}")
    if json_file.is_dir() or not os.access(json_file.parent, os.W_OK):
        raise PermissionError(f"{json_file}: cannot be written")


def _show(comparison: Comparison, json_file: Path | None) -> None:
    """Print the table and write the JSON: to ``json_file``, else to standard output if that is no
    terminal, with the table on standard error."""
    content = json.dumps(comparison.to_json(), indent=2) + "\n"
    piped = json_file is None and not sys.stdout.isatty()
    if json_file is not None:
        aside = json_file.with_name(f".{json_file.name}.partial")
        aside.write_text(content)
        aside.replace(json_file)
    screen = console if piped else Console()
    screen.print(to_table(comparison))
    colour = "red" if comparison.failures else "green"
    screen.print(f"[{colour}]{escape(to_verdict(comparison))}[/]", highlight=False, soft_wrap=True)
    if piped:
        typer.echo(content, nl=False)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} photos/s")


def _compare(columns: Sequence[Column], photos: PhotoSet, tolerance: float | None) -> Comparison:
    """`compare`, with a progress bar for each column."""
    parts = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*parts, console=console, transient=True) as bars:

        def add_bar(column: Column) -> OnProgress:
            bar = bars.add_task(escape(f"{column.title} {column.source}"), total=None)
            return lambda done, total: bars.update(bar, completed=done, total=total)

        return compare(columns, photos, add_bar, tolerance)
