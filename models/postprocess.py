"""From a detector's raw outputs to detections.

one-stage    logits [N, A, C], deltas [N, A, 4] ── decode_anchors ──► scores and boxes
             or, so that fewer are decoded, of the `candidate_anchors` alone
two-stage    logits, deltas and proposals ──────── decode_regions ──► scores and boxes
R-CNN        logits, deltas and regions ─── decode_given_regions ──► scores and boxes

scores [N, A, C], boxes [N, A, 4] ── select_detections ──► the best, suppressed and padded
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from models.box_coder import BoxCoder
from models.boxes import clip_boxes
from models.nms import batched_nms, nms

# Anchors that reach NMS, chosen by their best class. The public implementations cut by (anchor,
# class) pair instead (1000 a level, or 5000 in all); the two differ only where thousands of
# candidates pass the score threshold, and this cut is several times cheaper.
MAX_CANDIDATES = 1000
SCORE_ROUNDING = 1e-6  # by which a score that is computed twice may differ
MOST_OUTLINED = 100  # detections of an image; as many as COCO's protocol counts
SMALLEST_REGION = 1e-2  # pixels; a region's box with a shorter side is no detection


def decode_anchors(
    logits: Tensor, deltas: Tensor, anchors: Tensor, coder: BoxCoder, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Class logits [N, A, C] and deltas [N, A, 4] of ``anchors``, [A, 4] or [N, A, 4] -> scores in
    0..1 and boxes in pixels inside an input of ``height`` x ``width``."""
    return logits.sigmoid(), clip_boxes(coder.decode(deltas, anchors), height, width)


def best_anchors(scores: Tensor, number: int) -> Tensor:
    """Indices int64 [N, k] of the ``number`` anchors whose best class scores best, or of all if
    there are fewer; best first, of equal ones the lower index.

    scores [N, A, C], as probabilities or as logits.
    """
    best_class = scores.amax(dim=2)
    return best_class.argsort(dim=1, descending=True, stable=True)[:, :number]


def candidate_anchors(
    logits: Tensor, score_threshold: Tensor, max_detections: Tensor, max_candidates: int
) -> Tensor:
    """`best_anchors` of ``logits`` [N, A, C], as many as `select_detections` can make use of at
    these settings: int64 [N, k].

    k is how many score above ``score_threshold`` in the image with most of them, but at least
    ``max_detections``, for as many rows are asked for, and at most ``max_candidates``.
    """
    best_scores = logits.amax(dim=2).sigmoid()
    above = (best_scores > score_threshold - SCORE_ROUNDING).sum(dim=1).amax()
    number = max(int(above), int(max_detections), 1)
    return best_anchors(logits, min(number, max_candidates))


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
    return _best_pairs(scores, clip_boxes(boxes, height, width))


def decode_given_regions(
    logits: Tensor,  # [N, R, C]
    deltas: Tensor,  # [N, R, C, 4], a box for each class
    regions: Tensor,  # [N, R, 4]; empty ones are padding
    coder: BoxCoder,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor]:
    """As `decode_regions`, of regions that came from outside."""
    sides = (regions[..., 2:] - regions[..., :2]).amin(dim=-1, keepdim=True)
    scores = logits.sigmoid() * (sides >= SMALLEST_REGION)
    boxes = coder.decode(deltas, regions.unsqueeze(2))
    return _best_pairs(scores, clip_boxes(boxes, height, width))


def _best_pairs(scores: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The best `MAX_CANDIDATES` of ``scores`` [N, R, C] with a box [N, R, C, 4] each, see
    `decode_regions`."""
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
    class_agnostic: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best ``max_detections`` of each image after NMS.

    scores [N, A, C] and boxes [N, A, 4]; the thresholds (float32), ``max_detections`` (int64) and
    ``class_agnostic`` (bool, None for false) are scalar tensors. A score counts if it is above its
    threshold. Only the ``max_candidates`` anchors with the best class of all reach NMS.

    Boxes suppress those of their own class only; with ``class_agnostic`` each anchor competes with
    its best class alone, the lowest of equal ones, and suppresses anchors of any class.

    Returns num_detections int64 [N], boxes float32 [N, K, 4], scores float32 [N, K] in descending
    order (padding 0) and labels int64 [N, K] (padding -1), where K is ``max_detections``, or what
    the candidates can give per class if that is less. Of equal scores the lower class comes first,
    unless it is ``class_agnostic``, then the anchor with the better best class.
    """
    top = best_anchors(scores, max_candidates)
    limit = min(int(max_detections), top.shape[1] * scores.shape[2])
    suppress = _suppress if class_agnostic is not None and class_agnostic else _suppress_by_class
    images = [
        _select_in_image(s[t], b[t], float(score_threshold), float(iou_threshold), limit, suppress)
        for s, b, t in zip(scores, boxes, top, strict=True)
    ]
    numbers, boxes_, scores_, labels = zip(*images, strict=True)
    return torch.tensor(numbers), torch.stack(boxes_), torch.stack(scores_), torch.stack(labels)


def outlined_boxes(number: Tensor, boxes: Tensor) -> Tensor:
    """The first of ``boxes`` [N, K, 4], as many as the image with most detections has of its
    ``number`` int64 [N]: [N, k, 4], k at least 1 where K is, and at most `MOST_OUTLINED`."""
    return boxes[:, : min(max(int(number.amax()), 1), MOST_OUTLINED)].clone()


def padded_contours(number: Tensor, boxes: Tensor, contours: Tensor) -> Tensor:
    """``contours`` [N, k, V, 2] of `outlined_boxes` filled up to [N, K, V, 2], and 0 where they are
    of no detection."""
    padded = F.pad(contours, (0, 0, 0, 0, 0, boxes.shape[1] - contours.shape[1]))
    found = torch.arange(boxes.shape[1]) < number.unsqueeze(1)  # [N, K]
    return padded * found[:, :, None, None]


def _suppress_by_class(
    scores: Tensor, boxes: Tensor, score_threshold: float, iou_threshold: float
) -> tuple[Tensor, Tensor]:
    """Candidates and labels, int64 [D] each, of what per-class NMS keeps, the best first."""
    labels, candidates = (score_threshold < scores.T).nonzero(as_tuple=True)  # class-major
    pair_scores = scores[candidates, labels]
    kept = batched_nms(boxes[candidates], pair_scores, labels, iou_threshold)
    return candidates[kept], labels[kept]


def _suppress(
    scores: Tensor, boxes: Tensor, score_threshold: float, iou_threshold: float
) -> tuple[Tensor, Tensor]:
    """The same of NMS among all classes."""
    best, labels = scores.max(dim=1)
    (candidates,) = (best > score_threshold).nonzero(as_tuple=True)
    kept = candidates[nms(boxes[candidates], best[candidates], iou_threshold)]
    return kept, labels[kept]


def _select_in_image(
    scores: Tensor,  # [k, C], of the candidates
    boxes: Tensor,  # [k, 4]
    score_threshold: float,
    iou_threshold: float,
    limit: int,
    suppress: Callable[[Tensor, Tensor, float, float], tuple[Tensor, Tensor]],
) -> tuple[int, Tensor, Tensor, Tensor]:
    candidates, labels = suppress(scores, boxes, score_threshold, iou_threshold)
    candidates, labels = candidates[:limit], labels[:limit]
    padding = limit - len(labels)
    return (
        len(labels),
        torch.cat((boxes[candidates], boxes.new_zeros(padding, 4))),
        torch.cat((scores[candidates, labels], scores.new_zeros(padding))),
        torch.cat((labels, labels.new_full((padding,), -1))),
    )
