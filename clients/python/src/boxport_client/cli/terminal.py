"""The two streams: answers go to stdout, everything else to stderr, a line each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

aside = Console(stderr=True, highlight=False)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def shows_table(as_json: bool) -> bool:
    """Whether a person reads the answers, and not a program."""
    return sys.stdout.isatty() and not as_json


def say_error(words: str) -> None:
    """One line on what is wrong."""
    _say("error:", "bold red", words)


def say_warning(words: str) -> None:
    """One line on what may not be as wanted."""
    _say("warning:", "bold yellow", words)


def say(words: str) -> None:
    """One line on how it goes."""
    aside.print(Text(printable(words)), soft_wrap=True)


def printable(text: str) -> str:
    """``text`` without what would steer a terminal: names of files may hold anything."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)


@contextmanager
def progress_bar(total: int, unit: str, streams: bool) -> Iterator[Callable[[int], None]]:
    """A function that is told how many are done; shows a bar if a person sees stderr.

    streams: whether stdout is written to meanwhile; on the same terminal that and a bar would mix.
    """
    if total < 2 or not sys.stderr.isatty() or (streams and sys.stdout.isatty()):
        yield lambda done: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    # what is printed meanwhile must not go from stdout to stderr
    with Progress(*columns, console=aside, transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("", total=total)
        yield lambda done: progress.update(bar, completed=done)


def _say(kind: str, style: str, words: str) -> None:
    line = Text.assemble((kind, style), " ", printable(" ".join(words.split())))
    aside.print(line, soft_wrap=True)
