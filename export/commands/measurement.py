"""What `evaluate` does: each column measured with a bar of its own, and the comparison shown."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

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

from export.commands.terminal import console
from export.evaluation.column import Column, PackageColumn, has_contours
from export.evaluation.comparison import BF16_TOLERANCES, TOLERANCES, Comparison, compare
from export.evaluation.network import NetworkColumn
from export.evaluation.photo_set import (
    EvaluationSet,
    PhotoSet,
    PhotoSetError,
    read_photo_set,
)
from export.evaluation.server import open_server
from export.evaluation.table import to_table, to_verdict
from export.progress import OnProgress
from service.cpus import available_cpus
from service.manifest import ModelManifest
from service.package import PackageError, open_package
from service.providers import providers_of
from service.runtime.sessions import Device
from service.settings import ModelSettings


def measure(
    packages: Sequence[Path],
    evaluation: EvaluationSet,
    weights: Path | None,
    url: str | None,
    bf16: bool,
    tolerance: float | None,
    limit: int | None,
    json_file: Path | None,
    *,
    outlines: bool = False,
) -> Comparison:
    """Measure the packages, and the PyTorch network, the server and bfloat16 if they are asked for,
    their ``outlines`` too, and show what was found. Raises as these do, and OSError."""
    with ExitStack() as stack:
        _require_writable(json_file)
        opened = [open_package(folder, threads=0) for folder in packages]
        manifests = [package.manifest for package in opened]
        photos = read_photo_set(manifests[0], evaluation, limit, _note)
        if outlines:
            _require_outlines(photos, manifests)
        columns: list[Column] = [PackageColumn(p, outlines=outlines) for p in opened]
        if bf16:
            columns += [_run_in_bf16(folder, outlines) for folder in packages]
        if weights is not None:
            columns.insert(0, _read_network(weights, manifests[0], outlines))
        if url is not None:
            columns += stack.enter_context(open_server(url, manifests, outlines=outlines))
        defaults = BF16_TOLERANCES if bf16 else TOLERANCES
        comparison = _compare(columns, photos, tolerance, defaults)
        _show(comparison, json_file)
    return comparison


def _require_outlines(photos: PhotoSet, manifests: Sequence[ModelManifest]) -> None:
    """Raise PackageError or PhotoSetError where there is none to measure."""
    for manifest in manifests:
        if not has_contours(manifest):
            raise PackageError(
                f"{manifest.name}/{manifest.version}: finds no outlines, which --iou-type segm"
                " measures"
            )
    if not photos.has_outlines:
        raise PhotoSetError(f"{photos.name}: none of its objects has a segmentation to measure on")


def _run_in_bf16(folder: Path, outlines: bool) -> PackageColumn:
    """Raises ProviderError if this machine cannot."""
    providers = providers_of(ModelSettings(runtime="openvino", precision="bf16"))
    device = Device(tuple(providers), available_cpus(), bf16=True)
    package = open_package(folder, device=device)
    return PackageColumn(package, title="OpenVINO bf16", outlines=outlines)


def _read_network(weights: Path, manifest: ModelManifest, outlines: bool) -> NetworkColumn:
    column = NetworkColumn(weights, manifest, outlines=outlines)
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


def _compare(
    columns: Sequence[Column],
    photos: PhotoSet,
    tolerance: float | None,
    tolerances: Mapping[str, float],
) -> Comparison:
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

        return compare(columns, photos, add_bar, tolerance, tolerances)
