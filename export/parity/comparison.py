"""When two answers are the same: tolerances, and detections that either model may prefer."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from export.errors import ExportError
from export.parity.cases import Case
from export.parity.model import Feeds
from service.manifest import Precision
from service.matching import Criteria, Detections, Flags, Match, box_iou, match, may_match
from service.provenance import ParityCase, Tolerance

# Binary32 rounds at 6e-8; over a network's depth that has stayed below 5e-5 in scores and 2e-3
# pixels for every architecture, so a greater difference is an error and no rounding.
#
# The others round in every layer: at 5e-4 (binary16), at 4e-3 (bfloat16) and at a 255th of a
# layer's range (int8), which is as coarse as bfloat16. A graph so rounded is another model: near a
# threshold, or between two candidates for one object, it now and then decides otherwise, and no
# bound on every single detection is both useful and met. Hence a share of them, counted over
# both sides, must have a match. In EfficientDet-Lite0 trained on VOC it is .999 in fp16, and .975
# in int8 with all layers quantised.
TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(score=1e-4, iou=0.99, box_px=0.01, matched=1.0),
    "fp16": Tolerance(score=0.02, iou=0.95, matched=0.99),
    "bf16": Tolerance(score=0.1, iou=0.8, matched=0.9),
    "int8": Tolerance(score=0.1, iou=0.8, matched=0.9),
}
# Each iteration of a snake reads features where the last one has put its vertices, so that their
# rounding adds up: so many times as far as boxes they may differ.
CONTOUR_FACTOR = 10
IOU_ROUNDING = 0.01  # of the IoU above which one box suppresses another
EDGE_ROUNDING = 1e-3  # of the same, where it alone decides


class ParityError(ExportError):
    """Two models disagree; the message says on what, where and by how much.

    feeds: a batch that shows it, where there is one. image: which of the batch does.
    """

    def __init__(self, message: str, feeds: Feeds | None = None, image: int = 0) -> None:
        super().__init__(message)
        self.feeds, self.image = feeds, image


@dataclass
class Tally:
    """The greatest differences so far, and what was compared to find them.

    compared: matched detections, or images of a classifier. unmatched: answers of either side that
    have no match. ambiguous and edge: of those the ones that are no error, because of an overlap or
    of their score, see `compare_detections`; they are not counted as unmatched. beneath: answers
    that are not compared, since their scores are too low. by_photo: the unmatched ones of each
    photo, where photos are compared one by one. rounded: those that are no error because the
    rounding of pixels explains them, see `export.proof.comparison`.
    """

    score: float = 0.0
    box: float = 0.0
    contour: float = 0.0
    iou: float = 1.0
    compared: int = 0
    ambiguous: int = 0
    edge: int = 0
    beneath: int = 0
    rounded: int = 0
    unmatched: int = 0
    cases: dict[str, ParityCase] = field(default_factory=dict)
    by_photo: list[int] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of all answers of both sides, those that have a match, in 0..1."""
        both = 2 * self.compared
        return both / (both + self.unmatched) if both else float(self.unmatched == 0)

    def add_case(self, case: Case, detections: int | None) -> None:
        known = self.cases.get(case.name, ParityCase(name=case.name, images=0))
        total = None if detections is None else (known.detections or 0) + detections
        self.cases[case.name] = ParityCase(
            name=case.name, images=known.images + len(case.images), detections=total
        )


Candidates = Callable[[], tuple[Detections, Detections]]  # of the two sides


def compare_detections(
    expected: Detections,
    actual: Detections,
    case: Case,
    tolerance: Tolerance,
    tally: Tally,
    candidates: Candidates | None = None,
) -> Detections:
    """What `compare_sides` returns of both sides."""
    missing, extra = compare_sides(expected, actual, case, tolerance, tally, candidates)
    return missing.joined(extra)


def compare_sides(
    expected: Detections,
    actual: Detections,
    case: Case,
    tolerance: Tolerance,
    tally: Tally,
    candidates: Candidates | None = None,
) -> tuple[Detections, Detections]:
    """Match one image's detections of two models, add the differences to ``tally``, and return
    those of either side that are unmatched without an excuse.

    Excused is a score that lies on the threshold or competes for the last place on the side that
    lacks it: rounding may put it on either side. Of two overlapping boxes with equal scores either
    may suppress the other, and a box whose overlap lies on the threshold may be suppressed or not:
    such `ambiguous` ones are excused only if they are on both sides in ``candidates``, which tells
    what the models would give without suppression.
    """
    box_px = np.inf if tolerance.box_px is None else tolerance.box_px
    criteria = Criteria(tolerance.iou, tolerance.score, box_px, border=1.0)
    matches = _outlined_alike(match(expected, actual, criteria), expected, actual, box_px, tally)
    for i, j, iou in matches:
        tally.score = max(tally.score, abs(float(expected.scores[i] - actual.scores[j])))
        tally.box = max(tally.box, float(np.abs(expected.boxes[i] - actual.boxes[j]).max()))
        tally.iou = min(tally.iou, iou)
    tally.compared += len(matches)
    missing = expected.select(np.setdiff1d(np.arange(len(expected)), [m.first for m in matches]))
    extra = actual.select(np.setdiff1d(np.arange(len(actual)), [m.second for m in matches]))
    both = missing.joined(extra)
    edges = np.repeat([_lowest(actual, case), _lowest(expected, case)], [len(missing), len(extra)])
    unmatched = ~(both.scores <= edges + tolerance.score)  # NaN is unmatched
    tally.edge += int((~unmatched).sum())
    if candidates is not None and unmatched.any():
        of_expected, of_actual = candidates()
        known = (
            np.any(may_match(missing, of_actual, criteria), axis=1),
            np.any(may_match(extra, of_expected, criteria), axis=1),
        )
        kept = expected, actual
        excused = ambiguous(missing, extra, kept, known, case, tolerance) & unmatched
        tally.ambiguous += int(excused.sum())
        unmatched &= ~excused
    tally.unmatched += int(unmatched.sum())
    of_missing, of_extra = np.split(unmatched, [len(missing)])
    return missing.select(of_missing), extra.select(of_extra)


def _outlined_alike(
    matches: list[Match], expected: Detections, actual: Detections, box_px: float, tally: Tally
) -> list[Match]:
    """Those of ``matches`` whose contours are the same too, as far as boxes of ``box_px`` are."""
    if expected.contours is None or actual.contours is None or not matches:
        return matches
    first, second = (
        list(side) for side in zip(*((m.first, m.second) for m in matches), strict=True)
    )
    gaps = np.abs(expected.contours[first] - actual.contours[second]).max(axis=(1, 2))
    kept = gaps <= CONTOUR_FACTOR * box_px  # NaN is not
    tally.contour = max(tally.contour, float(gaps[kept].max(initial=0.0)))
    return [one for one, same in zip(matches, kept, strict=True) if same]


def _lowest(found: Detections, case: Case) -> float:
    """The score at or below which a detection has no place among ``found``."""
    is_full = len(found) >= case.max_detections
    return max(case.score_threshold, float(found.scores[-1]) if is_full else 0.0)


def ambiguous(
    missing: Detections,
    extra: Detections,
    kept: tuple[Detections, Detections],
    known: tuple[Flags, Flags],
    case: Case,
    tolerance: Tolerance,
) -> Flags:
    """Which of ``missing`` [D] and ``extra`` [E], joined to [D + E], rounding explains.

    A detection is explained by one of the other side that overlaps it and has its score, so that
    either may suppress the other; by a better one that the other side has ``kept`` and that
    overlaps it by just the threshold; and by one that overlaps it and is itself explained, since
    what one of two suppresses the other may leave. ``known``: which were candidates on both sides;
    no other is explained.
    """
    competes = known[0][:, None] & known[1]  # [D, E]
    overlap = box_iou(missing.boxes, extra.boxes, border=1.0)
    competes &= overlap > max(case.iou_threshold - IOU_ROUNDING, 0.0)
    if not case.class_agnostic:
        competes &= missing.labels[:, None] == extra.labels
    equal = competes & (np.abs(missing.scores[:, None] - extra.scores) <= tolerance.score)
    first = equal.any(axis=1) | (known[0] & _on_edge(missing, kept[1], case, tolerance))
    second = equal.any(axis=0) | (known[1] & _on_edge(extra, kept[0], case, tolerance))
    while True:
        more_first = first | (competes & second).any(axis=1)
        more_second = second | (competes & more_first[:, None]).any(axis=0)
        if (more_first == first).all() and (more_second == second).all():
            return np.concatenate((first, second))
        first, second = more_first, more_second


def _on_edge(lost: Detections, kept: Detections, case: Case, tolerance: Tolerance) -> Flags:
    """Which of ``lost`` [D] one of ``kept`` overlaps by just the threshold, and does not score
    less. Boxes that are apart overlap by no threshold, be it 0."""
    overlap = box_iou(lost.boxes, kept.boxes)
    flags: Flags = np.abs(overlap - case.iou_threshold) <= EDGE_ROUNDING
    flags &= box_iou(lost.boxes, kept.boxes, border=1.0) > 0
    flags &= lost.scores[:, None] <= kept.scores + tolerance.score
    if not case.class_agnostic:
        flags &= lost.labels[:, None] == kept.labels
    found: Flags = np.any(flags, axis=1)
    return found
