"""Answers go to stdout, everything else to stderr, one line each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def shows_table(as_json: bool) -> bool:
    """Whether answers go to a person in a terminal, and not to a program."""
    return sys.stdout.isatty() and not as_json


def say_error(words: str) -> None:
    """Print one line on what is wrong."""
    line = Text.assemble(("error:", "bold red"), " ", printable(" ".join(words.split())))
    stderr.print(line, soft_wrap=True)


def say(words: str) -> None:
    """Print one line of information."""
    stderr.print(Text(printable(words)), soft_wrap=True)


def printable(text: str) -> str:
    """``text`` without control characters, which file names may contain."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)


def counted(number: int, noun: str) -> str:
    """ "1 photo", "2 photos" """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def new_table(*words: str, numbers: Sequence[str] = ()) -> Table:
    """A table in the style of all commands, with columns of words and then of numbers."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for title in words:
        table.add_column(title, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def waiting(words: str) -> AbstractContextManager[object]:
    """Shows ``words`` and that something goes on, if stderr is a terminal."""
    return stderr.status(Text(printable(words))) if sys.stderr.isatty() else nullcontext()


@contextmanager
def progress_bar(total: int, unit: str, streams: bool) -> Iterator[Callable[[int], None]]:
    """A function that takes how many are done; shows a bar if stderr is a terminal.

    streams: whether stdout is written to meanwhile; on the same terminal the two would mix.
    """
    if total < 2 or not sys.stderr.isatty() or (streams and sys.stdout.isatty()):
        yield lambda done: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    # rich would send what is printed meanwhile to stderr
    with Progress(*columns, console=stderr, transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("", total=total)
        yield lambda done: progress.update(bar, completed=done)
