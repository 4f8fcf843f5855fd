"""The metrics and tables of a report."""

from dataclasses import dataclass

import numpy as np

from models.evaluation import (
    NOTHING,
    ClassificationEvaluation,
    Confusion,
    DetectionEvaluation,
)
from models.training.report.page import Headline


@dataclass(frozen=True)
class _ClassRow:
    """One class: of a detector its objects at the score threshold, of a classifier its photos.

    found: with the right class. mixed_up: with another. false: named so without being so.
    """

    name: str
    objects: int
    found: int
    mixed_up: int
    missed: int
    false: int
    ap: float | None = None
    ap50: float | None = None


def figure(value: float | None) -> str:
    """A metric in 0..1 with three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001


def percent(part: float, whole: float = 1.0) -> str:
    """The share of ``part`` in whole percent, or a dash if ``whole`` is 0."""
    return f"{100 * part / whole:.0f} %" if whole else "–"  # noqa: RUF001


def summary(evaluation: DetectionEvaluation | ClassificationEvaluation) -> str:
    """The result in a few sentences."""
    counts = np.array(evaluation.confusion.counts)
    if isinstance(evaluation, ClassificationEvaluation):
        return (
            f"Measured on {evaluation.images:,} photos of {len(counts):,} classes:"
            f" {percent(evaluation.top1)} get their class as the first answer,"
            f" {percent(evaluation.top5)} among the first five."
        )
    right = int(np.trace(counts[:-1, :-1]))
    reported = int(counts[:, :-1].sum())
    return (
        f"Measured on {evaluation.images:,} photos with {evaluation.objects:,} objects of"
        f" {len(evaluation.classes):,} classes. With scores above {evaluation.score_threshold:g},"
        f" {percent(right, int(counts[:-1].sum()))} of the objects are found and named,"
        f" and {percent(right, reported)} of what is reported is right."
    )


def headline(
    evaluation: DetectionEvaluation | ClassificationEvaluation,
) -> list[Headline]:
    if isinstance(evaluation, ClassificationEvaluation):
        rows = [row for row in class_rows(evaluation) if row.objects]
        balanced = sum(row.found / row.objects for row in rows) / len(rows)
        return [
            Headline("Top-1", figure(evaluation.top1), "the first answer is right", True),
            Headline("Top-5", figure(evaluation.top5), "one of the first five is"),
            Headline("Top-1 by class", figure(balanced), "mean over classes"),
        ]
    e = evaluation
    return [
        Headline("AP", figure(e.ap), "mean over IoU .50 to .95", True),
        Headline("AP50", figure(e.ap50), "at IoU .50"),
        Headline("AP75", figure(e.ap75), "at IoU .75"),
        Headline("AP small", figure(e.ap_small), "objects up to 32² pixels"),
        Headline("AP medium", figure(e.ap_medium), "up to 96² pixels"),
        Headline("AP large", figure(e.ap_large), "larger ones"),
        Headline("AR100", figure(e.ar100), "recall, 100 detections a photo"),
    ]


def class_rows(evaluation: DetectionEvaluation | ClassificationEvaluation) -> list[_ClassRow]:
    """Rows of the table of classes, the best first, those without objects last."""
    counts = np.array(evaluation.confusion.counts)
    right, by_truth, by_answer = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    detection = isinstance(evaluation, DetectionEvaluation)
    rows = []
    for i in range(len(counts) - detection):
        missed = int(counts[i, -1]) if detection else 0
        precision = evaluation.classes[i] if detection else None
        rows.append(
            _ClassRow(
                evaluation.confusion.names[i],
                int(by_truth[i]),
                found=int(right[i]),
                mixed_up=int(by_truth[i] - right[i]) - missed,
                missed=missed,
                false=int(by_answer[i] - right[i]),
                ap=precision.ap if precision else None,
                ap50=precision.ap50 if precision else None,
            )
        )

    def goodness(row: _ClassRow) -> float:
        if not row.objects:
            return -1.0
        return row.found / row.objects if row.ap50 is None else row.ap50

    return sorted(rows, key=goodness, reverse=True)


@dataclass(frozen=True)
class _MixUp:
    truth: str
    answer: str
    count: int
    of: int


def mixed_up(confusion: Confusion, most: int = 10) -> list[_MixUp]:
    """The pairs of classes that are most often mistaken for each other, misses aside."""
    names, totals = confusion.names, [sum(row) for row in confusion.counts]
    pairs = [
        _MixUp(names[t], names[p], count, totals[t])
        for t, row in enumerate(confusion.counts)
        for p, count in enumerate(row)
        if count and t != p and not (_is_nothing(confusion, t) or _is_nothing(confusion, p))
    ]
    return sorted(pairs, key=lambda pair: -pair.count)[:most]


def _is_nothing(confusion: Confusion, index: int) -> bool:
    return index == len(confusion.names) - 1 and confusion.names[index] == NOTHING
