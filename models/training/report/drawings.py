"""The drawings of a report: curves over the epochs, precision over recall, the confusion."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation import (
    RECALLS,
    ClassificationEvaluation,
    ClassPrecision,
    Confusion,
    DetectionEvaluation,
)
from models.training.report.tables import figure, percent

Tick = tuple[float, str]  # where on the axis, and its label
Log = Sequence[Mapping[str, float | None]]
# More classes than this are told in tables alone: cells and panels would be too small to read.
MAX_DRAWN_CLASSES = 60


@dataclass(frozen=True)
class _Line:
    """``points`` in the chart's coordinates; its label stands at their end, at ``label_y``."""

    label: str
    last: str
    points: tuple[tuple[float, float], ...]
    label_y: float

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class _Chart:
    title: str
    alt: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[_Line, ...]
    right: float = 0.0

    # With ``right``, the plane in which lines are drawn; what is beside it is room for labels.
    left, top, bottom = 44, 14, 236
    width, height = 480, 280


def charts(log: Log) -> list[_Chart]:
    """Losses, and what was measured, over the epochs; nothing of what the log does not hold."""
    keys = list(dict.fromkeys(key for row in log for key in row))
    losses = [key for key in keys if key.endswith("loss")]
    measured = [key for key in keys if key.startswith(("ap", "ar", "top", "accuracy"))]
    charts = [
        _chart("Loss", log, losses),
        _chart("Measured on the validation photos", log, measured),
    ]
    return [chart for chart in charts if chart.lines]


def _chart(title: str, log: Log, keys: Sequence[str]) -> _Chart:
    series = {key: _series(log, key) for key in keys}
    series = {key: points for key, points in series.items() if points}
    if not series:
        return _Chart(title, "", (), (), ())
    epochs = [x for points in series.values() for x, _ in points]
    low, high = min(epochs), max(epochs)
    x_step = max(1.0, _step(high - low, 8))
    top = max(y for points in series.values() for _, y in points) or 1.0
    y_step = _step(top, 5)
    top = y_step * math.ceil(top / y_step - 1e-9)

    # The labels at the lines' ends are their name and a figure, in letters up to 8.8 wide.
    right = _Chart.width - max(
        80, min(220, 14 + 8.8 * max(len(_pretty(key)) + 6 for key in series))
    )

    def x_at(epoch: float) -> float:
        share = (epoch - low) / (high - low) if high > low else 0.5
        return _Chart.left + share * (right - _Chart.left)

    def y_at(value: float) -> float:
        return _Chart.bottom - value / top * (_Chart.bottom - _Chart.top)

    placed = {key: tuple((x_at(x), y_at(y)) for x, y in points) for key, points in series.items()}
    label_ys = _spread([points[-1][1] for points in placed.values()])
    lines = [
        _Line(_pretty(key), figure(series[key][-1][1]), points, label_y)
        for (key, points), label_y in zip(placed.items(), label_ys, strict=True)
    ]
    ends = ", ".join(
        f"{_pretty(key)} from {figure(points[0][1])} to {figure(points[-1][1])}"
        for key, points in series.items()
    )
    first = x_step * math.ceil(low / x_step - 1e-9)
    x_ticks = np.arange(first, high + x_step / 1e3, x_step).tolist()
    y_ticks = np.arange(0, top + y_step / 1e3, y_step).tolist()
    return _Chart(
        title,
        f"{title}, epochs {low:g} to {high:g}: {ends}",
        tuple((x_at(x), f"{x:g}") for x in x_ticks),
        tuple((y_at(y), f"{y:.4g}") for y in y_ticks),
        tuple(lines),
        right,
    )


def _series(log: Log, key: str) -> list[tuple[float, float]]:
    """(epoch, value) of every row of the log that has both, and as numbers."""
    points = [(row.get("epoch", i), row.get(key)) for i, row in enumerate(log, start=1)]
    return [(float(x), float(y)) for x, y in points if _is_number(x) and _is_number(y)]


def _is_number(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _step(span: float, most: int) -> float:
    """The least of ... .1, .2, .5, 1, 2, 5 ... that divides ``span`` into ``most`` at most."""
    if span <= 0:
        return 1.0
    magnitude = 10 ** math.floor(math.log10(span / most))
    return next(n * magnitude for n in (1, 2, 5, 10) if span / (n * magnitude) <= most + 1e-9)


def _spread(wanted: Sequence[float], gap: float = 17) -> list[float]:
    """``wanted`` heights of labels, moved apart where they would cover each other."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    heights = list(wanted)
    for above, below in itertools.pairwise(order):
        heights[below] = max(heights[below], heights[above] + gap)
    floor = float(_Chart.bottom)
    for i in reversed(order):
        heights[i] = floor = min(heights[i], floor)
        floor -= gap
    return heights


def _pretty(key: str) -> str:
    """A column of the log as it is read: ap50 → AP50, class_loss → class loss."""
    words = key.replace("top", "top-").replace("--", "-").split("_")
    if words[0][:2] in ("ap", "ar"):
        words[0] = words[0].upper()
    return " ".join(words)


@dataclass(frozen=True)
class _Panel:
    """The precision-recall curve of one class in a square of 100, recall to the right.

    point: where it stands at the score threshold; None where nothing scores above it.
    """

    title: str
    ap50: float
    path: str
    area: str
    point: tuple[float, float] | None
    alt: str


def panels(evaluation: DetectionEvaluation | ClassificationEvaluation) -> list[_Panel]:
    """A curve for each class of a detector, the best first; none of more than can be read."""
    if isinstance(evaluation, ClassificationEvaluation):
        return []
    drawn = [row for row in evaluation.classes if row.ap50 is not None]
    if len(drawn) > MAX_DRAWN_CLASSES:
        return []
    ordered = sorted(drawn, key=lambda row: -row.ap50)
    return [_panel(row, evaluation.score_threshold) for row in ordered]


def _panel(row: ClassPrecision, score_threshold: float) -> _Panel:
    reached = [(100 * r, 100 - 100 * p) for r, p in zip(RECALLS, row.precision, strict=True) if p]
    # A step is where the curve falls; of a level stretch the two ends suffice.
    points = [
        point
        for i, point in enumerate(reached)
        if i in (0, len(reached) - 1) or not (reached[i - 1][1] == point[1] == reached[i + 1][1])
    ]
    line = "L".join(f"{x:.0f} {y:.1f}" for x, y in points)
    above = [i for i, score in enumerate(row.scores) if score > score_threshold]
    point = (100.0 * RECALLS[above[-1]], 100 - 100 * row.precision[above[-1]]) if above else None
    at = f", recall {point[0]:.0f} % with precision {100 - point[1]:.0f} %" if point else ""
    return _Panel(
        row.name,
        row.ap50 or 0.0,
        f"M{line}" if line else "",
        f"M0 100L{line}L{points[-1][0]:.0f} 100Z" if line else "",
        point,
        f"Precision over recall of {row.name}: AP50 {figure(row.ap50)}"
        f"{at and f'; with scores above {score_threshold:g}{at}'}",
    )


@dataclass(frozen=True)
class _Cell:
    row: int
    column: int
    share: float
    text: str
    title: str

    @property
    def right(self) -> bool:
        return self.row == self.column


@dataclass(frozen=True)
class _HeatMap:
    """``cells`` that are not 0, in a grid of ``size``; labels are cut to fit."""

    labels: tuple[str, ...]
    cells: tuple[_Cell, ...]
    size: int
    margin: int
    cell: int = 28

    @property
    def side(self) -> int:
        return self.margin + self.size * self.cell + 4


def heat_map(confusion: Confusion, longest: int = 18) -> _HeatMap | None:
    """The confusion matrix, each row in shares of its sum; None if it is too large to be read."""
    names = confusion.names
    if len(names) > MAX_DRAWN_CLASSES + 1:
        return None
    cells = []
    for t, row in enumerate(confusion.counts):
        for p, count in enumerate(row):
            if count:
                share = count / sum(row)
                text = f"{100 * share:.0f}" if share >= 0.01 else ""
                title = f"{names[t]} → {names[p]}: {count:,} of {sum(row):,}, {percent(share)}"
                cells.append(_Cell(t, p, share, text, title))
    labels = tuple(n if len(n) <= longest else f"{n[: longest - 1]}…" for n in names)
    margin = 14 + round(7.2 * max(map(len, labels), default=0))
    return _HeatMap(labels, tuple(cells), len(names), margin)
