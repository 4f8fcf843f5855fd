"""`python -m models`: list the architectures."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.variants import VARIANTS
from models.zoo.table import ZOO
from service.imaging.input_spec import InputSpec, ShorterSide

app = typer.Typer(add_completion=False)


@app.command()
def main(
    part: Annotated[str, typer.Argument(help="Show only names that contain this.")] = "",
) -> None:
    """List the architectures that can be trained and exported, what each reads, and the public
    checkpoint that `python -m models.zoo download NAME` fetches for it."""
    table = Table(box=None)
    # a narrow terminal may cut what is said of a name, but never the name
    table.add_column("name", no_wrap=True, min_width=max(map(len, VARIANTS)))
    for column in ("task", "input", "public checkpoint"):
        table.add_column(column)
    for row in rows(part):
        table.add_row(*row)
    Console().print(table)


def rows(part: str) -> Iterator[tuple[str, str, str, str]]:
    for name, variant in VARIANTS.items():
        if part in name:
            entry = ZOO.get(name)
            published = f"{entry.metric} {entry.value}, {entry.data}" if entry else ""
            yield name, variant.task, describe(variant.input), published


def describe(spec: InputSpec) -> str:
    """An input in a few words, such as "512 x 512"."""
    if isinstance(spec, ShorterSide):
        return f"{spec.shorter_side} to {spec.longer_side}"
    return f"{spec.width} x {spec.height}"


if __name__ == "__main__":
    app()
