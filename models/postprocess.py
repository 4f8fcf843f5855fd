"""From a detector's raw outputs to detections.

one-stage    logits [N, A, C], deltas [N, A, 4] ── decode_anchors ──► scores and boxes
two-stage    logits, deltas and proposals ──────── decode_regions ──► scores and boxes

scores [N, A, C], boxes [N, A, 4] ── select_detections ──► the best, suppressed and padded
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.anchors import AnchorGenerator, AnchorSettings
from models.box_coder import BoxCoder
from models.boxes import clip_boxes
from models.nms import batched_nms

# Anchors that reach NMS, chosen by their best class. The public implementations cut by (anchor,
# class) pair instead (1000 a level, or 5000 in all); the two differ only where thousands of
# candidates pass the score threshold, and this cut is several times cheaper.
MAX_CANDIDATES = 1000
SMALLEST_REGION = 1e-2  # pixels; a region's box with a shorter side is no detection


def decode_anchors(
    logits: Tensor, deltas: Tensor, anchors: Tensor, coder: BoxCoder, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Class logits [N, A, C] and deltas [N, A, 4] of ``anchors`` [A, 4] -> scores in 0..1 and boxes
    in pixels inside an input of ``height`` x ``width``."""
    return logits.sigmoid(), clip_boxes(coder.decode(deltas, anchors), height, width)


class DetectionDecoder(nn.Module):
    """`decode_anchors` for an input of one size, whose anchors are constants."""

    def __init__(self, anchors: AnchorSettings, coder: BoxCoder, height: int, width: int) -> None:
        super().__init__()
        self.coder, self.height, self.width = coder, height, width
        constant = AnchorGenerator(anchors).over_input(height, width)
        self.register_buffer("anchors", constant, persistent=False)

    def forward(self, logits: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
        return decode_anchors(logits, deltas, self.anchors, self.coder, self.height, self.width)


def decode_regions(
    logits: Tensor,  # [N, R, 1 + C], the background first
    deltas: Tensor,  # [N, R, 1 + C, 4], a box for each class
    proposals: Tensor,  # [N, R, 4]
    proposal_scores: Tensor,  # [N, R]; 0 marks padding
    coder: BoxCoder,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor]:
    """The best `MAX_CANDIDATES` pairs of region and class, as scores [N, M, C] with one class above
    zero in each row, and boxes [N, M, 4]: a form that `select_detections` takes."""
    scores = logits.softmax(dim=-1)[..., 1:] * (proposal_scores > 0).unsqueeze(-1)
    boxes = coder.decode(deltas[:, :, 1:], proposals.unsqueeze(2))
    boxes = clip_boxes(boxes, height, width)
    sides = boxes[..., 2:] - boxes[..., :2]
    scores = scores * (sides.amin(dim=-1) >= SMALLEST_REGION)
    classes = scores.shape[2]
    best, index = F.pad(scores.flatten(1), (0, MAX_CANDIDATES)).topk(MAX_CANDIDATES, dim=1)
    index = index.clamp(max=scores.shape[1] * classes - 1)  # of padding, whose score is 0
    one_hot = F.one_hot(index % classes, classes).to(scores.dtype)
    best_boxes = boxes.flatten(1, 2).gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
    return best.unsqueeze(-1) * one_hot, best_boxes


def select_detections(
    scores: Tensor,
    boxes: Tensor,
    score_threshold: Tensor,
    iou_threshold: Tensor,
    max_detections: Tensor,
    max_candidates: int = MAX_CANDIDATES,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best ``max_detections`` of each image after per-class NMS.

    scores [N, A, C] and boxes [N, A, 4]; the thresholds (float32) and ``max_detections`` (int64)
    are scalar tensors. A score counts if it is above its threshold. Only the ``max_candidates``
    anchors with the best class of all reach NMS.

    Returns num_detections int64 [N], boxes float32 [N, K, 4], scores float32 [N, K] in descending
    order (padding 0) and labels int64 [N, K] (padding -1), where K is ``max_detections``, or what
    the candidates can give if that is less. Of equal scores the lower class comes first, then the
    anchor with the better best class.
    """
    candidates = min(max_candidates, scores.shape[1])
    limit = min(int(max_detections), candidates * scores.shape[2])
    images = [
        _select_in_image(s, b, candidates, float(score_threshold), float(iou_threshold), limit)
        for s, b in zip(scores, boxes, strict=True)
    ]
    numbers, boxes_, scores_, labels = zip(*images, strict=True)
    return torch.tensor(numbers), torch.stack(boxes_), torch.stack(scores_), torch.stack(labels)


def _select_in_image(
    scores: Tensor,  # [A, C]
    boxes: Tensor,  # [A, 4]
    candidates: int,
    score_threshold: float,
    iou_threshold: float,
    limit: int,
) -> tuple[int, Tensor, Tensor, Tensor]:
    best_class = scores.max(dim=1).values
    top = best_class.argsort(descending=True, stable=True)[:candidates]
    labels, anchors = (score_threshold < scores[top].T).nonzero(as_tuple=True)  # class-major
    pair_scores, pair_boxes = scores[top][anchors, labels], boxes[top][anchors]
    kept = batched_nms(pair_boxes, pair_scores, labels, iou_threshold)[:limit]
    padding = limit - len(kept)
    return (
        len(kept),
        torch.cat((pair_boxes[kept], boxes.new_zeros(padding, 4))),
        torch.cat((pair_scores[kept], scores.new_zeros(padding))),
        torch.cat((labels[kept], labels.new_full((padding,), -1))),
    )
