"""Answers for a person, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from boxport_client.cli.layouts import Cells, Layout, R
from boxport_client.cli.sources import Source
from boxport_client.cli.terminal import printable
from boxport_client.errors import BoxportError

MAX_ROWS = 1000  # what lies before them would be out of a terminal's reach


class TableOfAnswers(Generic[R]):
    """Rows grouped by photo, shown at the end."""

    def __init__(self, layout: Layout[R]) -> None:
        self._layout = layout
        self._table = new_table("photo", layout.titles[0], numbers=layout.titles[1:])
        self._has_answers = False
        self._left_out = 0

    def answered(self, source: Source, result: R) -> None:
        self._has_answers = True
        rows = list(self._layout.cells(result))
        self._add(source, rows or [(Text(self._layout.nothing, style="dim"),)])

    def failed(self, source: Source, error: BoxportError) -> None:
        self._add(source, [(Text("failed", style="red"),)])

    def finish(self) -> None:
        screen = Console(highlight=False)
        if self._has_answers:
            screen.print(self._table)
        if self._left_out:
            more = f"… and {self._left_out} more photos; --json and --csv give all"
            screen.print(Text(more, style="dim"), soft_wrap=True)

    def _add(self, source: Source, rows: Sequence[Cells]) -> None:
        if self._table.row_count + len(rows) > MAX_ROWS and self._table.row_count:
            self._left_out += 1
            return
        for number, row in enumerate(rows):
            self._table.add_row(Text("" if number else printable(source.name)), *row)


def new_table(*words: str, numbers: Sequence[str] = ()) -> Table:
    """A table as all commands have it, with columns of words and then of numbers."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for title in words:
        table.add_column(title, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table
