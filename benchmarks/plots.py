"""Draws the pictures of a report as SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.boxport import NAME
from benchmarks.packages import INT8, MODELS, title_of
from benchmarks.results import Results
from benchmarks.systems import CONNECTIONS, UPPER_BOUND, closed
from benchmarks.targets import best_layout

# after Okabe and Ito: distinguishable with any colour vision
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#888888", "#B8A000")
OURS = "#000000"
STAGES = (
    ("decode and resize", "decode_ms"),
    ("queue", "queue_ms"),
    ("inference", "inference_ms"),
    ("rest of the service", "service_ms"),
    ("HTTP and the caller", "http_ms"),
)
STYLE: dict[Any, object] = {
    "svg.fonttype": "none",  # text stays text, and files small
    "svg.hashsalt": "boxport",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}


def draw(results: Results, folder: Path) -> dict[str, Path]:
    """Draw the pictures that the results have figures for; their files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    with mpl.rc_context(STYLE):
        for name, picture in (
            ("concurrency", concurrency(results)),
            ("stages", stages(results)),
            ("growth", growth(results)),
        ):
            if picture is not None:
                made[name] = folder / f"performance-{name}.svg"
                picture.savefig(made[name], metadata={"Date": None}, bbox_inches="tight")
    return made


def concurrency(results: Results) -> Figure | None:
    """Throughput and 99th percentile of all systems against the number of connections."""
    if not results.names("system", load=closed(CONNECTIONS[-1])):
        return None
    figure = Figure(figsize=(9, 3.1 * len(MODELS)))
    axes = figure.subplots(len(MODELS), 2, squeeze=False)
    for row, model in zip(axes, MODELS, strict=True):
        _lines(row[0], results, model.name, "per_second")
        _lines(row[1], results, model.name, "p99_ms")
        row[1].set_yscale("log")
        row[1].yaxis.set_major_formatter("{x:g}")
        row[0].set_title(f"{model.title}: photos a second")
        row[1].set_title("99th percentile, ms")
        layout = best_layout(results, model.name)
        speed = results.median(
            system=UPPER_BOUND, model=model.name, photos="small", load=layout, metric="per_second"
        )
        if speed is not None:
            row[0].axhline(speed, color=OURS, linestyle=":", linewidth=1, label="upper bound")
    for axis in axes[-1]:
        axis.set_xlabel("connections")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    figure.tight_layout()
    return figure


def _lines(axis: Axes, results: Results, model: str, metric: str) -> None:
    """A line for each server, and a second one for Boxport in 8 bits."""
    systems = results.names("system", model=model, photos="small", metric=metric)
    peers = [system for system in systems if system not in (NAME, UPPER_BOUND)]
    lines = [(NAME, model, OURS, "o-"), (f"{NAME}, int8", model + INT8, OURS, "o--")]
    lines += [(system, model, COLOURS[i % len(COLOURS)], ".-") for i, system in enumerate(peers)]
    for label, package, colour, style in lines:
        system = NAME if label.startswith(NAME) else label
        points = [
            (connections, value)
            for connections in CONNECTIONS
            if (
                value := results.median(
                    system=system,
                    model=package,
                    photos="small",
                    load=closed(connections),
                    metric=metric,
                )
            )
            is not None
        ]
        if points:
            axis.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.2)
    axis.set_xscale("log", base=4)
    axis.set_xticks(CONNECTIONS, [str(number) for number in CONNECTIONS])
    if metric == "per_second":
        axis.set_ylim(bottom=0)


def stage_rows(results: Results) -> list[tuple[str, list[float]]]:
    """For each model and kind of photos: milliseconds of the `STAGES` of a single request."""
    rows = []
    for model in results.names("model", system=NAME, load="stages"):
        for photos in results.names("photos", system=NAME, model=model, load="stages"):
            where = {"system": NAME, "model": model, "photos": photos, "load": "stages"}
            parts = [results.median(**where, metric=metric) for _, metric in STAGES]
            known = [part for part in parts if part is not None]
            if len(known) == len(parts):
                rows.append((f"{title_of(model)}, {photos} photos", known))
    return rows


def stages(results: Results) -> Figure | None:
    """The stages of a single request."""
    rows = stage_rows(results)
    if not rows:
        return None
    figure = Figure(figsize=(9, 0.6 + 0.42 * len(rows)))
    axis = figure.subplots()
    names = [name for name, _ in STAGES]
    left = [0.0] * len(rows)
    for number, name in enumerate(names):
        widths = [parts[number] for _, parts in rows]
        places = range(len(rows))
        axis.barh(places, widths, left=left, label=name, color=COLOURS[number], height=0.6)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axis.set_yticks(range(len(rows)), [name for name, _ in rows])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("ms of a single request, medians")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    return figure


GROWTH: Sequence[tuple[str, str, str, str]] = (
    ("images", "photos of a request", "p50_ms", "ms a photo"),
    ("megapixels", "megapixels of a photo", "p50_ms", "ms a photo"),
    ("models", "models loaded", "pss_mb", "MB of memory"),
    ("waiting", "requests at once", "per_second", "photos a second"),
    ("workers", "workers", "per_second", "photos a second"),
)


def growth_points(results: Results, what: str, metric: str) -> list[tuple[float, float]]:
    """Pairs of size and value; the value is that of one photo where ``what`` is their number."""
    found = []
    for load in results.names("load", photos=f"growth {what}"):
        value = results.median(photos=f"growth {what}", load=load, metric=metric)
        if value is not None:
            found.append((float(load), value / (float(load) if what == "images" else 1)))
    return found


def growth(results: Results) -> Figure | None:
    """Cost against each of the quantities that grow."""
    known = [row for row in GROWTH if growth_points(results, row[0], row[2])]
    if not known:
        return None
    figure = Figure(figsize=(2.6 * len(known), 2.4))
    for axis, (what, name, metric, unit) in zip(
        figure.subplots(1, len(known), squeeze=False)[0], known, strict=True
    ):
        sizes, values = zip(*growth_points(results, what, metric), strict=True)
        axis.plot(sizes, values, "o-", color=COLOURS[0], ms=4)
        axis.set_xlabel(name)
        axis.set_title(unit, fontsize=9)
        axis.set_ylim(0, 1.1 * max(values))
        if what == "waiting":
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
        if what == "workers":
            axis.set_xticks(sizes)
    figure.tight_layout()
    return figure
