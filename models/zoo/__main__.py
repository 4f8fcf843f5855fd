"""`python -m models.zoo`: the official public checkpoints of our variants, listed and fetched."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from models.zoo.download import download
from models.zoo.table import ENTRIES, ZooError, find

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    TimeRemainingColumn(),
)
console = Console(stderr=True)

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Public checkpoints.")


@app.command("list")
def list_command(
    text: Annotated[
        str, typer.Argument(help="Show only variants with this in their name.", show_default=False)
    ] = "",
) -> None:
    """List the public checkpoints."""
    entries = [entry for entry in ENTRIES if text.lower() in entry.variant]
    if not entries:
        raise _failure(f"no public checkpoint has {text!r} in its name")
    table = Table("variant", "trained on", "figure", "licence", "file", box=box.SIMPLE_HEAD)
    for entry in entries:
        figure = f"{entry.metric} {entry.value:.1f}"
        table.add_row(entry.variant, entry.data, figure, entry.licence, entry.file)
    out = Console()
    if not out.is_terminal:
        out.width = 200  # a pipe has no width, and its reader wants whole names
    out.print(table)


@app.command("download")
def download_command(
    name: Annotated[str, typer.Argument(help="A variant of the list.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder for the file.", file_okay=False)] = Path(
        "checkpoints"
    ),
) -> None:
    """Download a public checkpoint; after an interruption, run it again to go on."""
    try:
        entry = find(name)
        with Progress(*COLUMNS, console=console, transient=True) as progress:
            task = progress.add_task(entry.file, total=None)
            path = download(
                entry,
                output,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
    except ZooError as error:
        raise _failure(str(error)) from error
    console.print(f"{path}: {entry.licence}", highlight=False, markup=False, soft_wrap=True)


def _failure(message: str) -> typer.Exit:
    """Say why on standard error, in one line however long."""
    console.print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


if __name__ == "__main__":
    app()
