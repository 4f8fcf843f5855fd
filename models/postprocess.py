"""From a detector's raw outputs to detections.

logits [N, A, C], deltas [N, A, 4] ── DetectionDecoder ──► scores [N, A, C], boxes [N, A, 4]
                                   ── select_detections ──► the best, suppressed and padded
"""

import torch
from torch import Tensor, nn

from models.anchors import AnchorGenerator, AnchorSettings
from models.box_coder import BoxCoder
from models.boxes import clip_boxes
from models.nms import batched_nms

# Anchors that reach NMS, chosen by their best class. The public implementations cut by (anchor,
# class) pair instead (1000 a level, or 5000 in all); the two differ only where thousands of
# candidates pass the score threshold, and this cut is several times cheaper.
MAX_CANDIDATES = 1000


class DetectionDecoder(nn.Module):
    """Class logits and box deltas -> scores in 0..1 and boxes in pixels inside the input."""

    def __init__(self, anchors: AnchorSettings, coder: BoxCoder, height: int, width: int) -> None:
        super().__init__()
        self.coder, self.height, self.width = coder, height, width
        generator = AnchorGenerator(anchors, height, width)
        self.register_buffer("anchors", generator.anchors, persistent=False)

    def forward(self, logits: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
        boxes = self.coder.decode(deltas, self.anchors)
        return logits.sigmoid(), clip_boxes(boxes, self.height, self.width)


def select_detections(
    scores: Tensor,
    boxes: Tensor,
    score_threshold: Tensor,
    iou_threshold: Tensor,
    max_detections: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best ``max_detections`` of each image after per-class NMS.

    scores [N, A, C] and boxes [N, A, 4] as `DetectionDecoder` gives them; the thresholds (float32)
    and ``max_detections`` (int64) are scalar tensors. A score counts if it is above its threshold.

    Returns num_detections int64 [N], boxes float32 [N, K, 4], scores float32 [N, K] in descending
    order (padding 0) and labels int64 [N, K] (padding -1), where K is ``max_detections``, or what
    the candidates can give if that is less. Of equal scores the lower class comes first, then the
    anchor with the better best class.
    """
    candidates = min(MAX_CANDIDATES, scores.shape[1])
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
