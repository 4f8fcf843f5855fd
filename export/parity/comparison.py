"""When two answers are the same: tolerances, pairs of detections, and what ties may decide."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from export.parity.cases import IOU_THRESHOLD, Case
from export.parity.model import Array, Feeds, Outputs
from service.manifest import ParityCase, Precision, Tolerance

# Binary32 rounds at 6e-8; over a network's depth that has stayed below 5e-5 in scores and 2e-3
# pixels for every architecture, so what is beyond these is an error and no rounding.
#
# The others round in every layer: at 5e-4 (binary16), at 4e-3 (bfloat16) and at a 255th of a
# layer's range (int8), which is as coarse as bfloat16. A graph so rounded is another model: near a
# threshold, or between two rivals for one object, it now and then decides otherwise, and no bound
# on single detections would be both honest and of use. Hence a share of them must have a twin,
# counted from both sides. In EfficientDet-Lite0 trained on VOC .999 have one in fp16, and .975 in
# int8 with all layers quantised.
TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(score=1e-4, iou=0.99, box_px=0.01, matched=1.0),
    "fp16": Tolerance(score=0.02, iou=0.95, matched=0.99),
    "bf16": Tolerance(score=0.1, iou=0.8, matched=0.9),
    "int8": Tolerance(score=0.1, iou=0.8, matched=0.9),
}
IOU_ROUNDING = 0.01  # of the overlap at which one box suppresses another

Flags = npt.NDArray[np.bool_]


class ParityError(Exception):
    """The two disagree; the message says on what, where and by how much.

    feeds: a batch that shows it, where there is one. image: which of the batch does.
    """

    def __init__(self, message: str, feeds: Feeds | None = None, image: int = 0) -> None:
        super().__init__(message)
        self.feeds, self.image = feeds, image


@dataclass(frozen=True, eq=False)
class Detections:
    """One image's: boxes [D, 4] xyxy in pixels, scores [D] descending, labels [D]."""

    boxes: Array
    scores: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: Array) -> "Detections":
        return Detections(self.boxes[index], self.scores[index], self.labels[index])

    @classmethod
    def of(cls, outputs: Outputs, image: int) -> "Detections":
        """The rows of one image without the padding."""
        number, boxes, scores, labels = (output[image] for output in outputs)
        return cls(boxes[:number], scores[:number], labels[:number])


@dataclass
class Tally:
    """The greatest differences so far, and what was compared to find them."""

    score: float = 0.0
    box: float = 0.0
    iou: float = 1.0
    compared: int = 0
    ambiguous: int = 0
    lost: int = 0  # detections that have no twin, of both sides
    cases: dict[str, ParityCase] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of all detections of both sides, those that have a twin on the other, in 0..1."""
        both = 2 * self.compared
        return both / (both + self.lost) if both else float(self.lost == 0)

    def add_case(self, case: Case, detections: int | None) -> None:
        known = self.cases.get(case.name, ParityCase(name=case.name, images=0))
        total = None if detections is None else (known.detections or 0) + detections
        self.cases[case.name] = ParityCase(
            name=case.name, images=known.images + len(case.images), detections=total
        )


Candidates = Callable[[], tuple[Detections, Detections]]  # of the two sides


def compare_detections(
    wanted: Detections,
    got: Detections,
    case: Case,
    tolerance: Tolerance,
    tally: Tally,
    candidates: Candidates | None = None,
) -> Detections:
    """Pair the two lists off, note the differences, and return those that have no twin.

    Equal scores may come in either order. A score that lies on the threshold, or competes for the
    last place, may fall on either side; and of two rivals with one score either may suppress the
    other. Those are no loss. The last is believed only if ``candidates``, which tells what either
    side would give without suppression, has both rivals on both sides.
    """
    pairs = pair_off(wanted, got, tolerance)
    for ours, theirs in pairs:
        tally.score = max(tally.score, abs(float(wanted.scores[ours] - got.scores[theirs])))
        tally.box = max(tally.box, float(np.abs(wanted.boxes[ours] - got.boxes[theirs]).max()))
        overlap = box_iou(wanted.boxes[ours, None], got.boxes[theirs, None])
        tally.iou = min(tally.iou, float(overlap[0, 0]))
    tally.compared += len(pairs)
    missing = wanted.select(np.setdiff1d(np.arange(len(wanted)), [ours for ours, _ in pairs]))
    extra = got.select(np.setdiff1d(np.arange(len(got)), [theirs for _, theirs in pairs]))
    is_full = len(wanted) == len(got) == case.max_detections
    edge = max(case.score_threshold, float(wanted.scores[-1]) if is_full else 0.0)
    is_lost = ~(joined(missing, extra).scores <= edge + tolerance.score)  # NaN is lost
    if candidates is not None and is_lost.any():
        of_wanted, of_got = candidates()
        known = (has_twin(missing, of_got, tolerance), has_twin(extra, of_wanted, tolerance))
        tied = ties(missing, extra, known, case.class_agnostic, tolerance)
        is_tied = is_lost & np.concatenate(tied)
        tally.ambiguous += int(is_tied.sum())
        is_lost &= ~is_tied
    tally.lost += int(is_lost.sum())
    return joined(missing, extra).select(is_lost)


def pair_off(wanted: Detections, got: Detections, tolerance: Tolerance) -> list[tuple[int, int]]:
    """Indices of twins, each in one pair at most; the best overlap is paired first."""
    scores = np.abs(wanted.scores[:, None] - got.scores)  # [D, E]
    overlaps = box_iou(wanted.boxes, got.boxes)
    ours, theirs = np.nonzero(fits(wanted, got, tolerance))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for i in np.lexsort((scores[ours, theirs], -overlaps[ours, theirs])):
        if ours[i] not in pairs and theirs[i] not in taken:
            pairs[int(ours[i])] = int(theirs[i])
            taken.add(int(theirs[i]))
    return sorted(pairs.items())


def fits(wanted: Detections, got: Detections, tolerance: Tolerance) -> Flags:
    """Which pairs [D, E] could be twins."""
    conditions = [
        wanted.labels[:, None] == got.labels,
        np.abs(wanted.scores[:, None] - got.scores) <= tolerance.score,
        box_iou(wanted.boxes, got.boxes) >= tolerance.iou,
    ]
    if tolerance.box_px is not None:
        gaps = np.abs(wanted.boxes[:, None] - got.boxes).max(axis=2)
        conditions.append(gaps <= tolerance.box_px)
    same: Flags = np.logical_and.reduce(conditions)
    return same


def has_twin(detections: Detections, others: Detections, tolerance: Tolerance) -> Flags:
    """Which of ``detections`` [D] are among ``others``."""
    found: Flags = np.any(fits(detections, others, tolerance), axis=1)
    return found


def ties(
    missing: Detections,
    extra: Detections,
    known: tuple[Flags, Flags],
    class_agnostic: bool,
    tolerance: Tolerance,
) -> tuple[Flags, Flags]:
    """Which of ``missing`` [D] and ``extra`` [E] a tie explains: one that has a rival of its own
    score on the other side, or a rival that is itself explained, since what is suppressed by one
    of two equals may be left alone by the other. ``known``: those that both sides had to choose
    from; no other can be explained."""
    conditions = [
        known[0][:, None] & known[1],  # [D, E]
        box_iou(missing.boxes, extra.boxes) > IOU_THRESHOLD - IOU_ROUNDING,
    ]
    if not class_agnostic:
        conditions.append(missing.labels[:, None] == extra.labels)
    rivals: Flags = np.logical_and.reduce(conditions)
    equal = rivals & (np.abs(missing.scores[:, None] - extra.scores) <= tolerance.score)
    first, second = equal.any(axis=1), equal.any(axis=0)
    while True:
        more_first = first | (rivals & second).any(axis=1)
        more_second = second | (rivals & more_first[:, None]).any(axis=0)
        if (more_first == first).all() and (more_second == second).all():
            return first, second
        first, second = more_first, more_second


def joined(first: Detections, second: Detections) -> Detections:
    return Detections(
        np.concatenate((first.boxes, second.boxes)),
        np.concatenate((first.scores, second.scores)),
        np.concatenate((first.labels, second.labels)),
    )


def box_iou(first: Array, second: Array) -> npt.NDArray[np.float64]:
    """IoU [D, E] of boxes [D, 4] and [E, 4], their last row and column of pixels counted in, as
    Pascal VOC does: so a box that the border leaves no area has an IoU too."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(bottom_right.astype(np.float64) - top_left + 1, 0, None)
    intersection = sides.prod(axis=2)
    areas = [
        (boxes[:, 2:].astype(np.float64) - boxes[:, :2] + 1).prod(axis=1)
        for boxes in (first, second)
    ]
    iou: npt.NDArray[np.float64] = intersection / (areas[0][:, None] + areas[1] - intersection)
    return iou
