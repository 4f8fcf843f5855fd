"""The report of a measurement, for a person and as JSON."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rich.text import Text

from boxport_client.cli._load import NEARLY_ALL, Level
from boxport_client.cli._terminal import counted, new_table, printable, stdout

BAR_WIDTH = 26
EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass
class Report:
    """A measurement, as far as it has come. made: whether the photo is an artificial one."""

    url: str
    task: str
    photos: Sequence[bytes]
    made: bool
    model: str = ""
    levels: list[Level] = field(default_factory=list)

    @property
    def notes(self) -> Iterator[str]:
        """What a reader of the figures has to know."""
        if self.made:
            yield "The photo was made for this and shows nothing; --photos sends real ones."
        if is_local(self.url):
            yield "Client and service share this machine, and slow each other down."
        if any(level.client_load > NEARLY_ALL for level in self.levels):
            yield "This client used a whole core: the service may be faster than measured."

    def to_dict(self) -> dict[str, Any]:
        """The report as values for JSON."""
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
    size = sum(map(len, report.photos)) / len(report.photos) / 1000
    photos = counted(len(report.photos), "photo")
    head = f"{report.task} at {report.url} by {report.model}; {photos} of {size:.0f} kB"
    stdout.print(Text(printable(head)), soft_wrap=True)
    for note in report.notes:
        stdout.print(Text(note, style="dim"), soft_wrap=True)
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
    stdout.print(table)
    for line in plotted(report.levels):
        stdout.print(line, soft_wrap=True)


def plotted(levels: Sequence[Level]) -> Iterator[Text]:
    """A line per level: a bar of its requests a second, and one of its p99."""
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


def bar(value: float, most: float, width: int) -> str:
    """A bar of ``value``, ``width`` characters long where it is ``most``."""
    eighths = round(8 * width * value / most) if most > 0 else 0
    if value > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return EIGHTHS[8] * whole + (EIGHTHS[rest] if rest else "")


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
