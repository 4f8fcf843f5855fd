"""A comparison as a table on a terminal, in points of a hundred."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from export.evaluation.comparison import Comparison
from export.evaluation.figures import METRIC_NAMES

NAMES = {**METRIC_NAMES, "agreement": "agreement"}


def to_table(comparison: Comparison) -> Table:
    """A row a figure, a column a model; after each figure its difference from the first."""
    photos = comparison.photos
    number, total = len(photos.photos), photos.total
    share = f"{number} photos" if number == total else f"{number} of {total} photos"
    table = Table(title=escape(f"{photos.name}\n{share}, in points of 100"), box=box.SIMPLE_HEAD)
    table.add_column("")
    for result in comparison.results:
        column = result.column
        table.add_column(escape(f"{column.title}\n{column.source}"), justify="right")
    figures = [result.figures for result in comparison.results]
    for metric in figures[0].metrics:
        table.add_row(NAMES[metric], *_cells([one.metrics.get(metric) for one in figures]))
    if len(comparison.results) > 1:
        agreements = [result.agreement for result in comparison.results[1:]]
        cells = ("-" if value is None else f"{100 * value:.2f}" for value in agreements)
        table.add_row(NAMES["agreement"], "", *cells)
    table.add_section()
    for name in figures[0].classes:
        table.add_row(escape(f"AP {name}"), *_cells([one.classes.get(name) for one in figures]))
    table.add_section()
    speeds = (f"{result.images_per_second:.1f}" for result in comparison.results)
    table.add_row("photos/s", *speeds)
    return table


def to_verdict(comparison: Comparison) -> str:
    """Whether the comparison is passed, in a line."""
    name, tolerance = NAMES[comparison.metric], f"{comparison.tolerance:g} points"
    first = comparison.reference.column
    if len(comparison.results) == 1:
        return f"{name} {100 * comparison.reference.value(comparison.metric):.2f}"
    if not comparison.failures:
        return f"passed: {name} of each within {tolerance} of {first.title} {first.source}"
    worst = max(comparison.failures, key=comparison.drop)
    return (
        f"failed: {name} of {worst.column.title} {worst.column.source} is"
        f" {comparison.drop(worst):.2f} points below {first.title} {first.source}, more than"
        f" {tolerance}"
    )


def _cells(values: Sequence[float | None]) -> list[str]:
    """Each value in points of a hundred; after all but the first the difference from it."""
    reference = values[0]
    cells = []
    for i, value in enumerate(values):
        if value is None or reference is None:
            cells.append("-" if value is None else f"{100 * value:.2f}")
        else:
            points = round(100 * (value - reference), 2) + 0.0  # no -0.00
            cells.append(f"{100 * value:.2f}" + (f" [dim]{points:+6.2f}[/]" if i else ""))
    return cells
