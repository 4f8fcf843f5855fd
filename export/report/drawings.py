"""The drawings of a report: bars of several packages beside each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, RIGHT_MARGIN = 440, 84
BAR, GAP, GROUP_GAP, TOP = 15, 3, 10, 6
LETTER = 9.2  # width of one, at most
LONGEST = 22  # letters of a row's name


@dataclass(frozen=True)
class Value:
    """``value`` as the length of a bar, ``text`` at its end; None where there is none.

    mark: a second value, such as a percentile, shown as a tick.
    """

    value: float | None
    text: str
    mark: float | None = None


@dataclass(frozen=True)
class Bar:
    series: int
    y: float
    length: float
    text: str
    mark: float | None


@dataclass(frozen=True)
class Group:
    """The bars of one row; its name stands in the middle of them, at ``y``."""

    name: str
    y: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Chart:
    """Horizontal bars, a group for each row, in it a bar for each of ``series``."""

    title: str
    note: str
    alt: str
    series: tuple[str, ...]
    groups: tuple[Group, ...]
    ticks: tuple[tuple[float, str], ...]
    left: float
    height: float

    width, bar = WIDTH, BAR

    @property
    def bottom(self) -> float:
        return self.height - 24


def bar_chart(
    title: str,
    series: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Value]]],
    note: str = "",
    most: float | None = None,
) -> Chart | None:
    """A chart of ``rows``, each a name and a value for each of ``series``; ``most`` is where the
    axis ends, if that is known. None if there is nothing to draw."""
    reached = [x for _, row in rows for v in row for x in (v.value, v.mark) if x is not None]
    if not reached:
        return None
    step = _step(most or max(reached) or 1.0)
    end = most or step * math.ceil(max(reached) / step - 1e-9) or 1.0
    names = [_cut(name) for name, _ in rows]
    left = 12 + LETTER * max(map(len, names))
    unit = (WIDTH - RIGHT_MARGIN - left) / end

    groups, y = [], float(TOP)
    for name, (_, row) in zip(names, rows, strict=True):
        bars = []
        top = y
        for i, value in enumerate(row):
            length = 0.0 if value.value is None else value.value * unit
            mark = None if value.mark is None else left + value.mark * unit
            bars.append(Bar(i, y, length, value.text, mark))
            y += BAR + GAP
        groups.append(Group(name, (top + y - GAP) / 2, tuple(bars)))
        y += GROUP_GAP
    count = math.floor(end / step + 1e-9)
    ticks = tuple((left + i * step * unit, f"{i * step:.4g}") for i in range(count + 1))
    told = "; ".join(
        f"{name}: {', '.join(f'{s} {v.text}' for s, v in zip(series, row, strict=True))}"
        for name, row in rows
    )
    return Chart(title, note, f"{title}. {told}", tuple(series), tuple(groups), ticks, left, y + 20)


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _step(end: float, most: int = 5) -> float:
    """The least of ... .1, .2, .5, 1, 2, 5 ... that divides ``end`` into ``most`` at most."""
    magnitude = 10.0 ** math.floor(math.log10(end / most))
    return next(n * magnitude for n in (1, 2, 5, 10) if end / (n * magnitude) <= most + 1e-9)
