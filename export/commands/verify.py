"""`python -m export verify`: check packages from their files."""

from pathlib import Path
from typing import Annotated

import typer

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]–[/]"}  # noqa: RUF001


def verify(
    packages: Annotated[
        list[Path],
        typer.Argument(help="Folders STORE/NAME/VERSION of packages.", show_default=False),
    ],
    photos: Annotated[Path, typer.Option(help="Folder of photos to run the packages on.")] = Path(
        "docs/photos"
    ),
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            help="PEM file of a key that must have signed each package; several may be named, of"
            " which one suffices.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check packages from their files: that each is what its manifest says, and answers as
    docs/graph.md says.

    A line for each check. Exit status: 0 if all passed, 1 if not.
    """
    from rich.console import Console
    from rich.markup import escape

    from export.commands.terminal import one_line_errors
    from export.verify import verify as verify_package

    sound, screen = True, Console()
    with one_line_errors():
        for package in packages:
            screen.print(f"[bold]{escape(str(package))}[/]", highlight=False, soft_wrap=True)
            for check in verify_package(package, photos, public_key or []):
                sound &= check.passed is not False
                line = f"{MARKS[check.passed]} {check.name}: {escape(check.detail)}"
                screen.print(line, highlight=False, soft_wrap=True)
    if not sound:
        raise typer.Exit(1)
