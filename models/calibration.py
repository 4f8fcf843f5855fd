"""What a detector's scores are worth: how often those of one height are right, and from which on
detections serve best."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

AT_50, ALL_AREAS = 0, 0  # where pycocotools' arrays have an IoU of .5, and objects of all sizes
BINS = 15  # of scores, of equal width, as in arXiv 1706.04599
SHOWN = 0.05  # detections that score above it are asked how well their scores are calibrated
THRESHOLDS = np.arange(1, 100) / 100
TEMPERATURES = np.arange(25, 401) / 100
SMALLEST = 1e-7  # nothing is surer than float32 can say


@dataclass(frozen=True)
class Bin:
    """Detections of about one score: their mean score, the share that is right, their number."""

    score: float
    precision: float
    number: int


@dataclass(frozen=True)
class Judged:
    """Detections of many photos, and whether each is right.

    scores: float64 [D] in 0..1. right: bool [D]. objects: how many there are to be found.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    objects: int

    def at(self, threshold: float) -> tuple[float, float]:
        """Precision and recall of what scores above ``threshold``; 1 and 0 of nothing."""
        kept = self.scores > threshold
        found = int(self.right[kept].sum())
        return found / kept.sum() if kept.any() else 1.0, found / max(self.objects, 1)

    def best_threshold(self) -> float | None:
        """Of `THRESHOLDS` the one above which F1 is best, the harmonic mean of precision and
        recall; of equal ones in a row the middle. None if nothing is right."""
        f1 = [2 * p * r / (p + r) if p * r else 0.0 for p, r in map(self.at, THRESHOLDS)]
        best = np.flatnonzero(np.isclose(f1, max(f1), rtol=1e-9))
        row = best[: next((i for i in range(1, len(best)) if best[i] != best[0] + i), len(best))]
        return float(THRESHOLDS[row[len(row) // 2]]) if max(f1) else None

    def best_temperature(self) -> float:
        """The temperature with the least negative log-likelihood of what is right, of detections
        above `SHOWN` (arXiv 1706.04599, section 4.2), two digits after the point; 1 of nothing."""
        shown = self.scores > SHOWN
        if not shown.any():
            return 1.0
        logits, signs = _logit(self.scores[shown]), np.where(self.right[shown], 1.0, -1.0)
        losses = [np.logaddexp(0, -signs * logits / t).mean() for t in TEMPERATURES]
        return float(TEMPERATURES[int(np.argmin(losses))])

    def at_temperature(self, temperature: float) -> "Judged":
        """The same detections with their scores' logits divided by ``temperature``."""
        scores = 1 / (1 + np.exp(-_logit(self.scores) / temperature))
        return Judged(scores, self.right, self.objects)

    def bins(self) -> list[Bin]:
        """Detections above `SHOWN` by their score, in `BINS` of equal width; none that is empty."""
        shown = self.scores > SHOWN
        scores, right = self.scores[shown], self.right[shown]
        places = np.minimum((scores * BINS).astype(int), BINS - 1)
        return [
            Bin(float(scores[members].mean()), float(right[members].mean()), int(members.sum()))
            for members in (places == place for place in range(BINS))
            if members.any()
        ]

    def calibration_error(self) -> float | None:
        """Expected calibration error, 0..1 (arXiv 1706.04599, equation 3): how far score and
        precision of the `bins` are apart, in the mean over their detections; None if there are
        none."""
        bins = self.bins()
        total = sum(row.number for row in bins)
        apart = sum(abs(row.score - row.precision) * row.number for row in bins)
        return apart / total if total else None


def _logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = scores.clip(SMALLEST, 1 - SMALLEST)
    logits: NDArray[np.float64] = np.log(scores / (1 - scores))
    return logits


def judge(evaluation: COCOeval) -> Judged:
    """What pycocotools made of each detection at an IoU of .5, once it has evaluated them. Those
    that lie in crowds are left out."""
    sizes, photos = len(evaluation.params.areaRng), len(evaluation.params.imgIds)
    matched = [
        row
        for place, row in enumerate(evaluation.evalImgs)
        if row is not None and place // photos % sizes == ALL_AREAS
    ]
    scores = np.concatenate([np.zeros(0), *(row["dtScores"] for row in matched)])
    right = [row["dtMatches"][AT_50] > 0 for row in matched]
    ignored = [row["dtIgnore"][AT_50] > 0 for row in matched]
    none = np.zeros(0, dtype=bool)
    counted = ~np.concatenate([none, *ignored])
    objects = sum(int((np.asarray(row["gtIgnore"]) == 0).sum()) for row in matched)
    return Judged(scores[counted], np.concatenate([none, *right])[counted], objects)
