"""Which object each anchor learns (arXiv 1708.02002, section 4, "Anchors")."""

import torch
from torch import Tensor

from models.boxes import box_iou

BACKGROUND = -1
IGNORED = -2


def match_anchors(
    anchors: Tensor, boxes: Tensor, foreground_iou: float, background_iou: float
) -> Tensor:
    """The index of each anchor's box, `BACKGROUND` or `IGNORED`: int64 [A].

    anchors [A, 4] and boxes [G, 4] in xyxy. An anchor takes the box it overlaps most if their IoU
    is at least ``foreground_iou``, is background below ``background_iou`` and ignored between the
    two. Each box also gets the anchors that overlap it most, however little, so that none goes
    unlearned.
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
