"""What load came to, for a person and as JSON."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from boxport_client.cli.load import NEARLY_ALL, Level
from boxport_client.cli.plot import bar
from boxport_client.cli.table import new_table
from boxport_client.cli.terminal import printable

BAR_WIDTH = 26


@dataclass
class Report:
    """A measurement, as far as it has come. made: whether the photo is not a real one."""

    url: str
    task: str
    photos: Sequence[bytes]
    made: bool
    model: str = ""
    levels: list[Level] = field(default_factory=list)

    @property
    def notes(self) -> Iterator[str]:
        """What whoever reads the figures has to know."""
        if self.made:
            yield "The photo was made for this and shows nothing; --photos sends real ones."
        if is_local(self.url):
            yield "Client and server share this machine, and take each other's time."
        if any(level.client_load > NEARLY_ALL for level in self.levels):
            yield "This client was busy all the time: the service may be faster than it shows."

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "url": self.url,
            "task": self.task,
            "model": self.model,
            "photos": len(self.photos),
            "photo_bytes": sum(map(len, self.photos)) // len(self.photos),
            "made_photo": self.made,
            "same_machine": is_local(self.url),
            "notes": list(self.notes),
            "levels": [level.to_dict() for level in self.levels],
        }


def show_report(report: Report) -> None:
    """Print the report on stdout."""
    screen = Console(highlight=False)
    size = sum(map(len, report.photos)) / len(report.photos) / 1000
    photos = "1 photo" if len(report.photos) == 1 else f"{len(report.photos)} photos"
    head = f"{report.task} at {report.url} by {report.model}; {photos} of {size:.0f} kB"
    screen.print(Text(printable(head)), soft_wrap=True)
    for note in report.notes:
        screen.print(Text(note, style="dim"), soft_wrap=True)
    if not report.levels:
        return
    titles = ("at a time", "requests/s", "p50 ms", "p95 ms", "p99 ms")
    table = new_table(numbers=titles)
    table.add_column("not answered", overflow="fold")
    for level in report.levels:
        errors = ", ".join(f"{number} {code}" for code, number in level.errors.most_common())
        times = (_shown(level.percentile(percent)) for percent in (50, 95, 99))
        speed = f"{level.per_second:.1f}"
        table.add_row(str(level.concurrency), speed, *times, Text(printable(errors), style="red"))
    screen.print(table)
    for line in plotted(report.levels):
        screen.print(line, soft_wrap=True)


def plotted(levels: Sequence[Level]) -> Iterator[Text]:
    """A line a level: a bar of its requests a second, and one of its p99."""
    fastest = max(level.per_second for level in levels)
    slowest = max(level.percentile(99) or 0.0 for level in levels)
    yield Text(f" {'at a time':>9}  {'requests/s':<{BAR_WIDTH + 8}} p99 ms", style="bold")
    for level in levels:
        late = level.percentile(99) or 0.0
        speed = bar(level.per_second, fastest, BAR_WIDTH)
        yield Text.assemble(
            f" {level.concurrency:>9}  ",
            (speed, "green"),
            f" {level.per_second:.1f}".ljust(BAR_WIDTH + 9 - len(speed)),
            (bar(late, slowest, BAR_WIDTH // 2), "yellow"),
            f" {_shown(level.percentile(99))}",
        )


def is_local(url: str) -> bool:
    """Whether the address is one of this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _shown(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:.0f}"
