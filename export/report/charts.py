"""The charts of a report: accuracy, AP of each class, latency."""

from collections.abc import Sequence

from export.report.drawings import Chart, Value, bar_chart
from export.report.tables import Measured, metric_name, milliseconds

MOST_BARS = 40  # classes in one chart


def accuracy_chart(packages: Sequence[Measured]) -> Chart | None:
    """The metrics of every package that has some."""
    known = [p for p in packages if p.metrics]
    keys = dict.fromkeys(k for p in known for k in p.metrics)
    rows = [(metric_name(k), [_share(p.metrics.get(k)) for p in known]) for k in keys]
    return bar_chart("Accuracy", [p.title for p in known], rows, most=1.0)


def class_chart(packages: Sequence[Measured]) -> Chart | None:
    """AP of each class, the best first; of very many the best and the worst."""
    known = [p for p in packages if p.classes]
    if not known:
        return None
    leading = known[0].classes
    names = sorted(leading, key=lambda name: -leading[name])
    note = ""
    if len(names) > MOST_BARS:
        note = f"The best {MOST_BARS // 2} and the worst {MOST_BARS // 2} of {len(names)} classes."
        names = [*names[: MOST_BARS // 2], *names[-MOST_BARS // 2 :]]
    rows = [(name, [_share(p.classes.get(name)) for p in known]) for name in names]
    return bar_chart("AP of each class", [p.title for p in known], rows, note, most=1.0)


def latency_chart(packages: Sequence[Measured]) -> Chart | None:
    """Milliseconds an image at each setting."""
    rows = []
    for settings in zip(*(p.latency for p in packages), strict=True):
        threads, batch = settings[0].threads, settings[0].batch_size
        name = f"batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
        values = [
            Value(
                x.ms_per_image,
                milliseconds(x.ms_per_image),
                None if x.p95_ms is None else x.p95_ms / x.batch_size,
            )
            for x in settings
        ]
        rows.append((name, values))
    return bar_chart(
        "Milliseconds an image",
        [p.title for p in packages],
        rows,
        "Bars: median. Ticks: 95th percentile, where there were runs enough.",
    )


def _share(value: float | None) -> Value:
    return Value(value, "–" if value is None else f"{value:.3f}")  # noqa: RUF001
