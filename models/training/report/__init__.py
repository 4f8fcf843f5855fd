"""A training run as one web page: what was trained, how good it is, and where it goes wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation import (
    BoxRow,
    ClassificationEvaluation,
    DetectionEvaluation,
    evaluate_classifications,
    evaluate_detections,
    match_photos,
)
from models.training.report.drawings import Log, charts, heat_map, panels
from models.training.report.galleries import (
    ROLES,
    Gallery,
    JudgedPhoto,
    Marked,
    chips,
    classification_galleries,
    detection_galleries,
    embed,
    remarks,
    together,
)
from models.training.report.page import render
from models.training.report.tables import (
    class_rows,
    figure,
    headline,
    mixed_up,
    percent,
    summary,
)

Table = Mapping[str, str]


@dataclass(frozen=True)
class TrainingReport:
    """The content of a run's page, see `write_report`.

    about: what was trained, on what and where, name → value, shown as it is: architecture, data,
    hardware, time, versions. recipe: the same of the recipe's settings.
    log: a row for each epoch. ``epoch`` is the axis; columns that end in "loss" are drawn, and so
    are those that begin with "ap", "ar", "top" or "accuracy", which are in 0..1. Values that are
    missing, None or NaN are left out, as in epochs without a measurement.
    beside: what the figures may be compared with, name → figures.
    """

    title: str
    about: Table
    recipe: Table
    log: Log
    evaluation: DetectionEvaluation | ClassificationEvaluation
    galleries: tuple[Gallery, ...]
    beside: Table = field(default_factory=dict)


def judge_detections(
    annotations: dict[str, Any],
    rows: list[BoxRow],
    photo_path: Callable[[int], Path],
    score_threshold: float = 0.3,
) -> tuple[DetectionEvaluation, tuple[Gallery, ...]]:
    """A detector's figures and galleries, from its ``rows`` on the photos of ``annotations``, the
    content of a COCO instances file.

    ``photo_path`` gives the file of a photo by its id; only those that are shown are opened.
    ``rows`` should reach down to scores near 0, as AP asks; what scores above ``score_threshold``
    is drawn and counted.
    """
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    matches = match_photos(annotations, rows, score_threshold)
    photos = [
        JudgedPhoto(image, matches[image["id"]], remarks(matches[image["id"]], names))
        for image in annotations["images"]
    ]
    evaluation = evaluate_detections(annotations, rows, score_threshold)
    return evaluation, detection_galleries(photos, names, photo_path)


def judge_classifications(
    names: Sequence[str],
    probabilities: NDArray[np.floating],
    labels: Sequence[int],
    photo_paths: Sequence[Path],
    marked: Sequence[Marked | None] | None = None,
) -> tuple[ClassificationEvaluation, tuple[Gallery, ...]]:
    """A classifier's figures and galleries, from its ``probabilities`` [photos, classes], in 0..1.

    ``labels`` are the true classes, as indices of ``names``. marked: of each photo the part that
    was classified, where that is not all of it.
    """
    evaluation = evaluate_classifications(probabilities, labels, names)
    galleries = classification_galleries(names, probabilities, labels, photo_paths, marked)
    return evaluation, galleries


def write_report(path: Path, report: TrainingReport) -> None:
    """Write ``report`` as one HTML file that needs no other, photos included."""
    evaluation = report.evaluation
    html = render(
        Path(__file__).with_name("report.html"),
        (figure, percent, embed, together, chips),
        report=report,
        evaluation=evaluation,
        summary=summary(evaluation),
        headline=headline(evaluation),
        charts=charts(report.log),
        panels=panels(evaluation),
        class_rows=class_rows(evaluation),
        heat_map=heat_map(evaluation.confusion),
        mixed_up=mixed_up(evaluation.confusion),
        roles=ROLES,
    )
    path.write_text(html, encoding="utf-8")
