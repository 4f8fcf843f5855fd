"""A column's answers as figures: their accuracy, and their agreement with another column's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.evaluation.column import PackageColumn, has_contours
from export.evaluation.photo_set import PhotoSet
from export.progress import OnProgress, ignore_progress
from models.calibration import Judged
from models.evaluation import BoxRow, evaluate_detections
from models.outline_evaluation import evaluate_outlines
from service.inference.task import Row
from service.manifest import ModelManifest
from service.matching import agreement as agreement_of
from service.package import ModelPackage
from service.provenance import Accuracy

Answers = Sequence[Sequence[Row]]  # of each photo, its rows
METRIC_NAMES = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP small",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ar100": "AR100",
    "mask_ap": "mask AP",
    "mask_ap50": "mask AP50",
    "mask_ap75": "mask AP75",
    "outline_iou": "outline IoU",
    "ellipse_iou": "ellipse IoU",
    "top1": "top-1",
    "top5": "top-5",
}
DETECTION_METRICS = tuple(METRIC_NAMES)[:7]


@dataclass(frozen=True)
class Figures:
    """Figures in 0..1 by name, without those that nothing was measured for.

    metrics: COCO's, as `models.evaluation.DetectionEvaluation` and, of outlines,
        `models.outline_evaluation.OutlineEvaluation` name and describe them, or top1 and top5;
        empty if nothing is known of the photos.
    classes: a detector's AP of each class, by its name. judged: its detections, right or wrong.
    """

    metrics: dict[str, float]
    classes: dict[str, float]
    judged: Judged | None = None


def measure(photos: PhotoSet, answers: Answers) -> Figures:
    """The accuracy of ``answers``, as far as it is known what the photos show."""
    if photos.objects is not None:
        return _measure_detections(photos.objects, answers)
    if photos.classes is not None:
        return Figures(_measure_classes(photos.classes, answers), {})
    return Figures({}, {})


def measure_accuracy(
    package: ModelPackage, photos: PhotoSet, on_progress: OnProgress = ignore_progress
) -> tuple[Accuracy, Judged | None]:
    """A package's figures for its manifest, measured through the code that serves it; and of a
    detector what its scores are worth.

    ``photos`` must say what they show. Raises PhotoError naming a photo that cannot be read.
    """
    outlines = photos.has_outlines and has_contours(package.manifest)
    column = PackageColumn(package, outlines=outlines)
    figures = measure(photos, column.answer(photos.photos, on_progress))
    accuracy = Accuracy(
        data=photos.name,
        images=len(photos.photos),
        metrics=rounded(figures.metrics, 4),
        classes=rounded(figures.classes, 4) or None,
    )
    return accuracy, figures.judged


def agreement(manifest: ModelManifest, answers: Answers, reference: Answers) -> float | None:
    """How far the answers agree with those of another column, in 0..1; None if neither finds
    anything.

    Of a classifier: the share of photos with the same best class. Of a detector: the share of both
    columns' detections, above the model's default threshold, that are matched one to one with a
    detection of the other: the same label and an IoU of .5 or more.
    """
    agreed = total = 0
    for own, other in zip(answers, reference, strict=True):
        of_photo = agreement_of(manifest.task, *(_shown(manifest, rows) for rows in (own, other)))
        agreed, total = agreed + of_photo[0], total + of_photo[1]
    return agreed / total if total else None


def _shown(manifest: ModelManifest, rows: Sequence[Row]) -> Sequence[Row]:
    """Those that the model shows by default."""
    if manifest.task == "classification":
        return rows
    return [row for row in rows if row["score"] > manifest.defaults.score_threshold]


def rounded(figures: dict[str, float], decimals: int) -> dict[str, float]:
    return {name: round(value, decimals) for name, value in figures.items()}


def _measure_detections(objects: dict[str, Any], answers: Answers) -> Figures:
    rows = [
        to_coco(image["id"], row)
        for image, detections in zip(objects["images"], answers, strict=True)
        for row in detections
    ]
    evaluation = evaluate_detections(objects, rows)
    metrics = {name: getattr(evaluation, name) for name in DETECTION_METRICS}
    if any(row.outline is not None for row in rows):
        metrics |= evaluate_outlines(objects, rows).metrics()
    return Figures(
        metrics={name: value for name, value in metrics.items() if value is not None},
        classes={row.name: row.ap for row in evaluation.classes if row.ap is not None},
        judged=evaluation.judged,
    )


def _measure_classes(classes: Sequence[int], answers: Answers) -> dict[str, float]:
    ranked = [[row["label_id"] for row in rows] for rows in answers]
    pairs = list(zip(ranked, classes, strict=True))
    return {
        "top1": sum(ids[0] == truth for ids, truth in pairs) / len(pairs),
        "top5": sum(truth in ids[:5] for ids, truth in pairs) / len(pairs),
    }


def to_coco(image_id: int, row: Row) -> BoxRow:
    """A detection of the HTTP API (docs/api.md) in COCO's terms."""
    left, top, right, bottom = row["box"]
    bbox = (left, top, right - left, bottom - top)
    contour = row.get("contour")
    outline = None if contour is None else (np.array(contour, dtype=np.float32),)
    return BoxRow(image_id, row["label_id"], bbox, row["score"], outline)
