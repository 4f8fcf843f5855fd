"""Non-maximum suppression: the definition that exported graphs are held to."""

import numpy as np
import torch
from torch import Tensor

from models.boxes import box_iou


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices (int64, best first) of the boxes that greedy suppression keeps.

    boxes [M, 4] in xyxy pixels, scores [M]. A box is dropped if its IoU with a kept, better one is
    above ``iou_threshold``. Of equal scores the lower index is the better one.
    """
    order = scores.argsort(descending=True, stable=True)
    # a row at a time is too little for PyTorch, whose operations take longer to begin than to run
    overlaps = (box_iou(boxes[order], boxes[order]) > iou_threshold).numpy(force=True)
    suppressed = np.zeros(len(order), dtype=bool)
    kept = []
    for position in range(len(order)):
        if not suppressed[position]:
            kept.append(position)
            suppressed |= overlaps[position]
    return order[torch.tensor(kept, dtype=torch.int64)]


def batched_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """As `nms`, but a box suppresses only boxes with its own label; ``labels`` int64 [M]."""
    kept = torch.zeros(len(scores), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        kept[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    indices = kept.nonzero().squeeze(1)
    return indices[scores[indices].argsort(descending=True, stable=True)]
