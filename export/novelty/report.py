"""A companion as one web page: the distances of training photos and of others, and how well they
are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.report import REPORT_FILE, manifest_mark
from models.mahalanobis import Values
from models.training.report.page import render
from service.manifest import MANIFEST_FILE

USUAL = "training photos, held out"
BINS = 40
WIDTH, HEIGHT = 720, 120  # pixels of a row of the drawing


@dataclass(frozen=True)
class Row:
    """The distances of one kind of photos: ``bars`` are left, top, width and height of each bin."""

    kind: str
    photos: int
    auroc: float | None
    bars: tuple[tuple[float, float, float, float], ...]


def write_novelty_report(
    folder: Path, usual: Values, unlike: Mapping[str, Values], by_kind: Mapping[str, float]
) -> None:
    """Write ``report.html`` beside the package in ``folder``; raises OSError.

    usual: distances of training photos held out. unlike: of each kind of others; by_kind: their
    AUROC.
    """
    content = (folder / MANIFEST_FILE).read_bytes()
    rows, edges = histograms(usual, unlike, by_kind)
    page = render(
        Path(__file__).with_name(REPORT_FILE),
        (),
        name=f"{folder.parent.name}/{folder.name}",
        mark=manifest_mark(content),
        manifest=content.decode(),
        rows=rows,
        ticks=[f"{edge:.3g}" for edge in (edges[0], edges[len(edges) // 2], edges[-1])],
        width=WIDTH,
        height=HEIGHT,
    )
    (folder / REPORT_FILE).write_text(page, encoding="utf-8")


def histograms(
    usual: Values, unlike: Mapping[str, Values], by_kind: Mapping[str, float]
) -> tuple[list[Row], Values]:
    """A row for each kind, the training photos' first, and the edges of the bins. What is farther
    than any training photo's distance three times over is in the last."""
    low = min(float(values.min()) for values in (usual, *unlike.values()))
    high = low + 3 * max(float(usual.max()) - low, 1e-6)
    edges = np.linspace(low, high, BINS + 1)
    rows = []
    for kind, values in {USUAL: usual, **unlike}.items():
        counts, _ = np.histogram(np.clip(values, low, high), edges)
        heights = HEIGHT * counts / counts.max()
        step = WIDTH / BINS
        bars = tuple(
            (round(i * step, 1), round(HEIGHT - h, 1), round(step - 1, 1), round(h, 1))
            for i, h in enumerate(heights.tolist())
            if h
        )
        rows.append(Row(kind, len(values), by_kind.get(kind), bars))
    return rows, edges
