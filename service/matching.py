"""Which detections of two models belong together: for the parity gate, evaluation and reports, and
for versions that are compared on live traffic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from service.inference.task import Row
from service.manifest import Task

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Detections:
    """One image's detections: boxes [D, 4] xyxy in pixels, scores [D] in 0..1, labels [D], and
    contours [D, V, 2] where outlines are found."""

    boxes: Array
    scores: Array
    labels: Array
    contours: Array | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: Array) -> "Detections":
        contours = None if self.contours is None else self.contours[index]
        return Detections(self.boxes[index], self.scores[index], self.labels[index], contours)

    def joined(self, other: "Detections") -> "Detections":
        contours = None
        if self.contours is not None and other.contours is not None:
            contours = np.concatenate((self.contours, other.contours))
        return Detections(
            np.concatenate((self.boxes, other.boxes)),
            np.concatenate((self.scores, other.scores)),
            np.concatenate((self.labels, other.labels)),
            contours,
        )

    @classmethod
    def from_outputs(cls, outputs: Sequence[Array], image: int) -> "Detections":
        """The rows of one image of a detector's outputs (docs/graph.md), without the padding."""
        number, *rows = (output[image] for output in outputs)
        return cls(*(row[:number] for row in rows))

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> "Detections":
        """Detections as the HTTP API gives them (docs/api.md); ``labels`` are their ids."""
        return cls(
            np.array([row["box"] for row in rows], dtype=np.float64).reshape(-1, 4),
            np.array([row["score"] for row in rows], dtype=np.float64),
            np.array([row["label_id"] for row in rows], dtype=np.int64),
        )

    def without_labels(self) -> "Detections":
        """As if all were of one label."""
        return Detections(self.boxes, self.scores, np.zeros_like(self.labels))


@dataclass(frozen=True)
class Criteria:
    """When two detections of one label may be matched.

    iou: at least. score, box_px: how far scores, and each side of the boxes in pixels, may differ.
    border: see `box_iou`.
    """

    iou: float
    score: float = np.inf
    box_px: float = np.inf
    border: float = 0.0


SAME_OBJECT = Criteria(iou=0.5)  # whatever the scores, as in COCO's and Pascal VOC's protocols


class Match(NamedTuple):
    """Indices of two matched detections, and the IoU of their boxes."""

    first: int
    second: int
    iou: float


def match(first: Detections, second: Detections, criteria: Criteria) -> list[Match]:
    """One-to-one matches, in the order of ``first``. Greedy: the pair with the greatest IoU comes
    first, of equal ones that with the smaller difference of scores."""
    rows, columns, ious = _pairs(first, second, criteria)
    gaps = np.abs(first.scores[rows] - second.scores[columns])
    matches: dict[int, Match] = {}
    taken: set[int] = set()
    for k in np.lexsort((gaps, -ious)):
        i, j = int(rows[k]), int(columns[k])
        if i not in matches and j not in taken:
            matches[i] = Match(i, j, float(ious[k]))
            taken.add(j)
    return sorted(matches.values())


def agreement(task: Task, first: Sequence[Row], second: Sequence[Row]) -> tuple[int, int]:
    """How much of two answers to one photo agrees, and of how much.

    Of a classifier: whether the best class is the same, of 1. Of a detector: the detections of both
    that are matched one to one, of all of both; matched have the same label and an IoU of .5 or
    more.
    """
    if task == "classification":
        return int(first[0]["label_id"] == second[0]["label_id"]), 1
    own, other = Detections.from_rows(first), Detections.from_rows(second)
    return 2 * len(match(own, other, SAME_OBJECT)), len(own) + len(other)


def may_match(first: Detections, second: Detections, criteria: Criteria) -> Flags:
    """Which pairs [D, E] meet ``criteria``. NaN meets none."""
    rows, columns, _ = _pairs(first, second, criteria)
    flags: Flags = np.zeros((len(first), len(second)), dtype=bool)
    flags[rows, columns] = True
    return flags


def _pairs(first: Detections, second: Detections, criteria: Criteria) -> tuple[Array, Array, Array]:
    """The pairs that meet ``criteria``: indices [P] into either, and the IoU [P] of their boxes.

    Boxes are looked at only where labels and scores allow a match: of thousands of detections on
    either side these are few, and the boxes are most of the work.
    """
    near = first.labels[:, None] == second.labels
    near &= np.abs(first.scores[:, None] - second.scores) <= criteria.score
    rows, columns = np.nonzero(near)
    one, other = first.boxes[rows], second.boxes[columns]
    ious = _iou(one, other, criteria.border)
    kept = (np.abs(one - other).max(axis=1) <= criteria.box_px) & (ious >= criteria.iou)
    return rows[kept], columns[kept], ious[kept]


def box_iou(first: Array, second: Array, border: float = 0.0) -> npt.NDArray[np.float64]:
    """IoU [D, E] of boxes [D, 4] and [E, 4]; 0 where both are empty.

    border: pixels added to each side. With 1 the last row and column count in, as in Pascal VOC's
    protocol, so that boxes without area, as clipping leaves them, have an IoU too.
    """
    return _iou(first[:, None], second, border)


def _iou(first: Array, second: Array, border: float) -> npt.NDArray[np.float64]:
    """`box_iou` of boxes [..., 4] and [..., 4], element by element."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    top_left = np.maximum(first[..., :2], second[..., :2])
    bottom_right = np.minimum(first[..., 2:], second[..., 2:])
    intersection = np.clip(bottom_right - top_left + border, 0, None).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + border).prod(axis=-1) for boxes in (first, second)]
    union = areas[0] + areas[1] - intersection
    iou: npt.NDArray[np.float64] = np.zeros_like(union)
    np.divide(intersection, union, out=iou, where=union != 0)
    return iou
