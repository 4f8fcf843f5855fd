"""Losses of one-stage detectors."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.box_coder import BoxCoder
from models.matcher import IGNORED, match_anchors


def sigmoid_focal_loss(logits: Tensor, targets: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss of each element (arXiv 1708.02002, equation 5); any shape, ``targets`` in {0, 1}.

    FL = -alpha_t (1 - p_t)^gamma log(p_t), where p_t is the probability given to the truth and
    alpha_t is ``alpha`` for a positive, 1 - ``alpha`` for a negative.
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


@dataclass(frozen=True)
class DetectionLoss:
    """Focal loss on classes plus smooth L1 on box deltas, per matched anchor.

    The defaults are EfficientDet's (arXiv 1911.09070, section 5.1): its box loss is a Huber loss
    with delta .1 weighted 50, which is smooth L1 with beta .1 weighted 5.
    """

    coder: BoxCoder
    alpha: float = 0.25
    gamma: float = 1.5
    beta: float = 0.1
    box_weight: float = 5.0
    foreground_iou: float = 0.5
    background_iou: float = 0.4

    def __call__(
        self,
        logits: Tensor,  # [N, A, C]
        deltas: Tensor,  # [N, A, 4]
        anchors: Tensor,  # [A, 4]
        boxes: list[Tensor],  # N of [G_i, 4]
        labels: list[Tensor],  # N of [G_i]
    ) -> tuple[Tensor, Tensor]:
        """Class loss and weighted box loss, each a scalar, normalised by the matched anchors."""
        matches = torch.stack(
            [match_anchors(anchors, b, self.foreground_iou, self.background_iou) for b in boxes]
        )  # [N, A]
        image, anchor = (matches >= 0).nonzero(as_tuple=True)
        first_box = torch.tensor([0, *(len(b) for b in boxes)], device=logits.device).cumsum(0)
        matched = first_box[image] + matches[image, anchor]  # into the boxes laid end to end
        count = max(len(image), 1)

        targets = torch.zeros_like(logits)
        targets[image, anchor, torch.cat(labels)[matched]] = 1
        class_loss = sigmoid_focal_loss(logits, targets, self.alpha, self.gamma)
        class_loss = class_loss.sum(-1)[matches != IGNORED].sum() / count

        goal = self.coder.encode(torch.cat(boxes)[matched], anchors[anchor])
        box_loss = smooth_l1_loss(deltas[image, anchor] - goal, self.beta).sum() / count
        return class_loss, self.box_weight * box_loss / 4
