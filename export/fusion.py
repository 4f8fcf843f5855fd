"""Weighted boxes fusion: detections of several detectors, or of several views, made one.

Solovyev, Wang and Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object
detection models", arXiv 1910.13302, section 3.
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # [N, 4] xyxy
Scores = NDArray[np.float64]  # [N] in 0..1


def fuse(boxes: Boxes, scores: Scores, answers: int, iou_threshold: float) -> tuple[Boxes, Scores]:
    """What ``answers`` answers on one photo, put together, say of one class; the best first.

    Each box, the best first, joins the fused box that it overlaps most, if by more than
    ``iou_threshold``, or begins one. A fused box is the mean of its members weighted by their
    scores. Its score is the mean of theirs, times the share of the answers that have one: what a
    single detector sees is worth less than what all see.
    """
    members: list[list[int]] = []
    fused = np.zeros((0, 4))
    for i in np.argsort(-scores, kind="stable"):
        overlaps = _iou(boxes[i], fused)
        best = int(overlaps.argmax()) if len(fused) else -1
        if best < 0 or overlaps[best] <= iou_threshold:
            members.append([i])
            fused = np.vstack((fused, boxes[i]))
            continue
        members[best].append(i)
        fused[best] = np.average(boxes[members[best]], axis=0, weights=scores[members[best]])
    means = [scores[m].mean() * min(len(m), answers) / answers for m in members]
    order = np.argsort([-mean for mean in means], kind="stable")
    return fused[order], np.array(means)[order]


def _iou(box: NDArray[np.float64], others: Boxes) -> Scores:
    """Intersection over union of ``box`` [4] with each of ``others`` [N, 4]; 0 of empty boxes."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    intersection = sides.clip(min=0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - intersection
    shares: Scores = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return shares
