"""The columns and rows of results, in a table and in CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.text import Text

from boxport_client import ClassificationResult, DetectionResult
from boxport_client._palette import label_colour
from boxport_client.cli._terminal import printable

Result = DetectionResult | ClassificationResult
R = TypeVar("R", bound=Result)
Row = Sequence[object]
Cells = Sequence[str | Text]
SWATCH = "\N{BLACK SQUARE}"


@dataclass(frozen=True)
class Layout(Generic[R]):
    """The layout of one task's results; the photo stands before, the model behind.

    titles: of the table's columns; the first has words and the others numbers.
    cells: a result's rows in the table.
    columns, rows: the same for CSV.
    counted: what a summary counts.
    nothing: what the table says of a result without a row.
    """

    titles: Sequence[str]
    cells: Callable[[R], Iterable[Cells]]
    columns: Sequence[str]
    rows: Callable[[R], Iterable[Row]]
    counted: Callable[[R], Counter[str]]
    nothing: str


def _detection_cells(result: DetectionResult) -> Iterable[Cells]:
    for one in result:
        edges = (f"{edge:.0f}" for edge in one.box)
        red, green, blue = label_colour(one.label_id)  # as it is drawn
        swatch = (SWATCH, f"rgb({red},{green},{blue})")
        yield Text.assemble(swatch, " ", printable(one.label)), f"{one.score:.2f}", *edges


def _detection_rows(result: DetectionResult) -> Iterable[Row]:
    for one in result:
        yield result.width, result.height, one.label, one.label_id, one.score, *one.box


def _two_stage_cells(result: DetectionResult) -> Iterable[Cells]:
    for one, cells in zip(result, _detection_cells(result), strict=True):
        best = one.classifications[0]
        yield *cells, printable(best.label), f"{best.score:.2f}"


def _two_stage_rows(result: DetectionResult) -> Iterable[Row]:
    for one, row in zip(result, _detection_rows(result), strict=True):
        best = one.classifications[0]
        yield *row, best.label, best.label_id, best.score


def _class_cells(result: ClassificationResult) -> Iterable[Cells]:
    for one in result:
        yield printable(one.label), f"{one.score:.2f}"


def _class_rows(result: ClassificationResult) -> Iterable[Row]:
    for rank, one in enumerate(result, start=1):
        yield result.width, result.height, rank, one.label, one.label_id, one.score


def _region_cells(result: ClassificationResult) -> Iterable[Cells]:
    for region in result.regions:
        edges = tuple(f"{edge:.0f}" for edge in region.box)
        for rank, one in enumerate(region):
            yield printable(one.label), f"{one.score:.2f}", *([""] * 4 if rank else edges)


def _region_rows(result: ClassificationResult) -> Iterable[Row]:
    for number, region in enumerate(result.regions, start=1):
        for rank, one in enumerate(region, start=1):
            size = result.width, result.height
            yield *size, number, *region.box, rank, one.label, one.label_id, one.score


def _best_of_regions(result: ClassificationResult) -> Counter[str]:
    return Counter(region.best.label for region in result.regions)


def _best_class(result: ClassificationResult) -> Counter[str]:
    return Counter([result.best.label] if len(result) else [])


DETECTIONS: Layout[DetectionResult] = Layout(
    titles=("label", "score", "left", "top", "right", "bottom"),
    cells=_detection_cells,
    columns=("width", "height", "label", "label_id", "score", "left", "top", "right", "bottom"),
    rows=_detection_rows,
    counted=lambda result: Counter(result.counts),
    nothing="nothing found",
)
TWO_STAGES: Layout[DetectionResult] = Layout(
    titles=(*DETECTIONS.titles, "class", "class score"),
    cells=_two_stage_cells,
    columns=(*DETECTIONS.columns, "class", "class_id", "class_score"),
    rows=_two_stage_rows,
    counted=DETECTIONS.counted,
    nothing=DETECTIONS.nothing,
)
CLASSES: Layout[ClassificationResult] = Layout(
    titles=("class", "score"),
    cells=_class_cells,
    columns=("width", "height", "rank", "label", "label_id", "score"),
    rows=_class_rows,
    counted=_best_class,
    nothing="no class",
)
REGIONS: Layout[ClassificationResult] = Layout(
    titles=("class", "score", "left", "top", "right", "bottom"),
    cells=_region_cells,
    columns=(
        *("width", "height", "region", "left", "top", "right", "bottom"),
        *("rank", "label", "label_id", "score"),
    ),
    rows=_region_rows,
    counted=_best_of_regions,
    nothing="no region",
)
