"""The charts of a report: accuracy, AP of each class, latency; the page draws the bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from export.report.tables import UNSTATED, Measured, metric_name, milliseconds
from models.calibration import SHOWN, Judged

MOST_BARS = 40  # classes in one chart
THRESHOLDS = tuple(i / 20 for i in range(1, 20))


@dataclass(frozen=True)
class Bar:
    """A value, with the text at the bar's end; None where there is none.

    mark: a second value, such as a percentile, shown as a tick.
    """

    value: float | None
    text: str
    mark: float | None = None


@dataclass(frozen=True)
class Chart:
    """Horizontal bars: a row for each name, in it a bar for each of ``series``. ``end`` is the
    value at which the axis ends."""

    title: str
    series: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Bar, ...]], ...]
    end: float
    note: str = ""

    def percent(self, value: float | None) -> float:
        """Where ``value`` lies on the axis, in per cent."""
        return round(100 * (value or 0.0) / self.end, 1)


def accuracy_chart(packages: Sequence[Measured]) -> Chart | None:
    """The metrics of every package that has some; None if there is none."""
    known = [p for p in packages if p.metrics]
    keys = dict.fromkeys(k for p in known for k in p.metrics)
    rows = tuple((metric_name(k), tuple(_share(p.metrics.get(k)) for p in known)) for k in keys)
    return Chart("Accuracy", tuple(p.title for p in known), rows, end=1.0) if rows else None


def class_chart(packages: Sequence[Measured]) -> Chart | None:
    """AP of each class, the best first, of very many the best and the worst; None if unknown."""
    known = [p for p in packages if p.classes]
    if not known:
        return None
    leading = known[0].classes
    names = sorted(leading, key=lambda name: -leading[name])
    note = ""
    if len(names) > MOST_BARS:
        note = f"The best {MOST_BARS // 2} and the worst {MOST_BARS // 2} of {len(names)} classes."
        names = [*names[: MOST_BARS // 2], *names[-MOST_BARS // 2 :]]
    rows = tuple((name, tuple(_share(p.classes.get(name)) for p in known)) for name in names)
    return Chart("AP of each class", tuple(p.title for p in known), rows, 1.0, note)


def score_charts(judged: Judged | None) -> list[Chart]:
    """What a detector's scores are worth, where that was measured: a reliability diagram, and
    precision and recall by score threshold."""
    bins, error = ([], None) if judged is None else (judged.bins(), judged.calibration_error())
    if judged is None or error is None:
        return []
    reliability = [
        (f"{row.number:,} of about {row.score:.2f}", (_share(row.precision, row.score),))
        for row in bins
    ]
    thresholds = [
        (f"{threshold:.2f}", tuple(map(_share, judged.at(threshold)))) for threshold in THRESHOLDS
    ]
    best = judged.best_threshold()
    return [
        Chart(
            "Reliability of scores",
            ("right",),
            tuple(reliability),
            1.0,
            f"Bars: the share of the detections of a score that is right. Ticks: their mean score."
            f" In the mean they are {error:.3f} apart (ECE, of scores above {SHOWN:g}).",
        ),
        Chart(
            "By score threshold",
            ("precision", "recall"),
            tuple(thresholds),
            1.0,
            "" if best is None else f"F1, the mean of both, is best at {best:g}.",
        ),
    ]


def latency_chart(packages: Sequence[Measured]) -> Chart:
    """Milliseconds an image at each setting."""
    rows, end = [], 0.0
    for settings in zip(*(p.latency for p in packages), strict=True):
        threads, batch = settings[0].threads, settings[0].batch_size
        name = f"batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
        bars = []
        for x in settings:
            p95 = None if x.p95_ms is None else x.p95_ms / batch
            bars.append(Bar(x.ms_per_image, milliseconds(x.ms_per_image), p95))
            end = max(end, x.ms_per_image, p95 or 0.0)
        rows.append((name, tuple(bars)))
    return Chart(
        "Milliseconds an image",
        tuple(p.title for p in packages),
        tuple(rows),
        end,
        "Bars: median. Ticks: 95th percentile, where there were enough runs.",
    )


def _share(value: float | None, mark: float | None = None) -> Bar:
    return Bar(value, UNSTATED if value is None else f"{value:.3f}", mark)
