"""Losses of one-stage detectors and their outlines, and which object each anchor learns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from models.box_coder import BoxCoder
from models.boxes import box_coverage, box_iou
from models.contours import align, extreme_points
from models.snake import half_sides

BACKGROUND = -1
IGNORED = -2
OUTLINE_BETA = 0.05  # of half a box
COVERED = 0.5  # of an anchor lies in a region that is not learned: it is not punished there


def match_anchors(
    anchors: Tensor, boxes: Tensor, foreground_iou: float, background_iou: float
) -> Tensor:
    """The index of each anchor's box, `BACKGROUND` or `IGNORED`: int64 [A].

    anchors [A, 4] and boxes [G, 4] in xyxy. An anchor takes the box it overlaps most if their IoU
    is at least ``foreground_iou``, is background below ``background_iou`` and ignored between the
    two (arXiv 1708.02002, section 4, "Anchors"). Each box also gets the anchors that overlap it
    most, however little, but for those that overlap a later box of ``boxes`` as much or that are
    also such a box's best: a box that shares all its anchors with another may be left without.
    """
    if len(boxes) == 0:
        return torch.full((len(anchors),), BACKGROUND, device=anchors.device)
    overlap = box_iou(anchors, boxes)  # [A, G]
    best_overlap, best_box = overlap.max(dim=1)
    matches = torch.where(best_overlap >= foreground_iou, best_box, IGNORED)
    matches[best_overlap < background_iou] = BACKGROUND
    best_for_box = overlap.max(dim=0).values  # [G]
    anchor, box = ((overlap == best_for_box) & (best_for_box > 0)).nonzero(as_tuple=True)
    matches[anchor] = box
    return matches


def anchors_within(anchors: Tensor, regions: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Where an anchor lies in a region of a class, at least by `COVERED`: bool [A, classes].

    anchors [A, 4] and regions [R, 4] in xyxy, labels int64 [R]. The measure is the one by which
    COCO's evaluation passes over detections in a crowd.
    """
    covered = box_coverage(anchors, regions) >= COVERED  # [A, R]
    of_class = F.one_hot(labels, classes).to(anchors.dtype)  # [R, C]
    return covered.to(anchors.dtype) @ of_class > 0


def sigmoid_focal_loss(logits: Tensor, targets: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss of each element (arXiv 1708.02002, equation 5); any shape, ``targets`` in 0..1.

    FL = -alpha_t (1 - p_t)^gamma log(p_t), where p_t is the probability given to the truth and
    alpha_t is ``alpha`` for a positive, 1 - ``alpha`` for a negative. A target y between the two
    has |y - p|^gamma times its cross-entropy, the quality focal loss (arXiv 2006.04388, equation
    2), and the share of both alphas.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrong = (logits.sigmoid() - targets).abs()  # 1 - p_t
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return alpha_t * wrong**gamma * cross_entropy


def smooth_l1_loss(errors: Tensor, beta: float) -> Tensor:
    """Smooth L1 of each element (arXiv 1504.08083, equation 3): quadratic within ``beta``.

    x^2 / (2 beta) where |x| < beta, else |x| - beta / 2. Any shape.
    """
    size = errors.abs()
    return torch.where(size < beta, size * size / (2 * beta), size - beta / 2)


def outline_losses(
    extremes: Tensor,  # [M, 4, 2]
    contours: list[Tensor],  # of [M, V, 2]
    goals: Tensor,  # [M, V, 2]
    boxes: Tensor,  # [M, 4]
) -> tuple[Tensor, Tensor]:
    """The loss of objects' extreme points, and the mean one of their contours after each iteration
    of a Deep Snake: smooth L1 of the distances from the ``goals``, as shares of half the box (arXiv
    2001.01629, equations 4 and 5). The goals' vertices are counted as suits the first contour."""
    half = half_sides(boxes).unsqueeze(1)
    of_extremes = smooth_l1_loss((extremes - extreme_points(goals)) / half, OUTLINE_BETA)
    aligned = align(contours[0].detach(), goals)
    of_contours = [smooth_l1_loss((c - aligned) / half, OUTLINE_BETA) for c in contours]
    return of_extremes.mean(), torch.stack(of_contours).mean()


def huber_loss(errors: Tensor, delta: float) -> Tensor:
    """Huber loss of each element: x^2 / 2 where |x| < delta, else delta (|x| - delta / 2).

    It is ``delta`` times smooth L1 with beta = delta. Any shape.
    """
    return delta * smooth_l1_loss(errors, delta)


def hard_negatives(losses: Tensor, positives: Tensor, negatives: Tensor, ratio: int) -> Tensor:
    """The anchors of the background that are most wrong, ``ratio`` for each object's: bool [N, A].

    Online hard example mining (arXiv 1604.03540) at SSD's ratio of 3 (arXiv 1512.02325, section
    2.2). losses [N, A]; positives and negatives bool [N, A]. An image without objects gives
    ``ratio`` of its anchors.
    """
    wanted = ratio * positives.sum(dim=1, keepdim=True).clamp(min=1)  # [N, 1]
    worst_first = losses.masked_fill(~negatives, -torch.inf).argsort(dim=1, descending=True)
    place = torch.empty_like(worst_first)
    places = torch.arange(losses.shape[1], device=losses.device).expand_as(worst_first)
    place.scatter_(1, worst_first, places)  # each anchor's place in that order
    return negatives & (place < wanted)


def at_least_one(count: int) -> float:
    """``count`` as what a sum may be divided by."""
    return max(count, 1)


@dataclass(frozen=True)
class DetectionLoss:
    """A loss on classes plus one on box deltas, per matched anchor.

    The defaults are EfficientDet's (arXiv 1911.09070, section 5.1): focal loss, and for boxes Huber
    with delta .1 weighted 50, which is smooth L1 with beta .1 weighted 5.

    class_loss: "focal", or "ohem": cross-entropy of objects and of the worst background.
    box_loss: "huber" or "smooth_l1".
    mean_count: of matched anchors, the mean over the processes that share a batch.
    """

    coder: BoxCoder
    class_loss: Literal["focal", "ohem"] = "focal"
    box_loss: Literal["huber", "smooth_l1"] = "huber"
    alpha: float = 0.25
    gamma: float = 1.5
    negatives_ratio: int = 3
    beta: float = 0.1
    foreground_iou: float = 0.5
    background_iou: float = 0.4
    mean_count: Callable[[int], float] = at_least_one

    def __call__(
        self,
        logits: Tensor,  # [N, A, C]
        deltas: Tensor,  # [N, A, 4]
        anchors: Tensor,  # [A, 4]
        boxes: list[Tensor],  # N of [G_i, 4]
        labels: list[Tensor],  # N of [G_i]
        scores: list[Tensor] | None = None,  # N of [G_i]
    ) -> tuple[Tensor, Tensor]:
        """Class loss and weighted box loss, each a scalar, normalised by the matched anchors.

        scores: how sure each object is, in 0..1, all 1 if None: the target of its class, and the
            weight of its box's error. At 0 it is a region in which its class is neither learned nor
            punished (`anchors_within`).
        """
        if scores is None:
            scores = [torch.ones_like(y, dtype=logits.dtype) for y in labels]
        unsure = torch.stack(
            [
                anchors_within(anchors, b[s == 0], y[s == 0], logits.shape[-1])
                for b, y, s in zip(boxes, labels, scores, strict=True)
            ]
        )  # [N, A, C]
        learned = [s > 0 for s in scores]
        boxes, labels, scores = (
            [rows[kept] for rows, kept in zip(part, learned, strict=True)]
            for part in (boxes, labels, scores)
        )
        matches = torch.stack(
            [match_anchors(anchors, b, self.foreground_iou, self.background_iou) for b in boxes]
        )  # [N, A]
        image, anchor = (matches >= 0).nonzero(as_tuple=True)
        first_box = torch.tensor([0, *(len(b) for b in boxes)], device=logits.device).cumsum(0)
        matched = first_box[image] + matches[image, anchor]  # into the concatenated boxes
        count = self.mean_count(len(image))

        sure = torch.cat(scores)[matched].to(logits.dtype)
        targets = torch.zeros_like(logits)
        targets[image, anchor, torch.cat(labels)[matched]] = sure
        unsure &= targets == 0
        class_loss = self._class_loss(logits, targets, matches, unsure).sum() / count

        goal = self.coder.encode(torch.cat(boxes)[matched], anchors[anchor])
        box_losses = self._box_loss(deltas[image, anchor] - goal)
        return class_loss, (box_losses * sure[:, None]).sum() / count / 4

    def _class_loss(
        self, logits: Tensor, targets: Tensor, matches: Tensor, unsure: Tensor
    ) -> Tensor:
        """Of each anchor that counts, without its classes that are ``unsure``, [N, A, C]."""
        if self.class_loss == "focal":
            losses = sigmoid_focal_loss(logits, targets, self.alpha, self.gamma)
            return losses.masked_fill(unsure, 0).sum(-1)[matches != IGNORED]
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        losses = losses.masked_fill(unsure, 0).sum(-1)
        positives = matches >= 0
        hard = hard_negatives(
            losses.detach(), positives, matches == BACKGROUND, self.negatives_ratio
        )
        return losses[positives | hard]

    def _box_loss(self, errors: Tensor) -> Tensor:
        if self.box_loss == "huber":
            return 50 * huber_loss(errors, self.beta)
        return 5 * smooth_l1_loss(errors, self.beta)
