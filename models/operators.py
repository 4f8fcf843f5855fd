"""Steps that depend on the data, as operators that torch.export does not look into.

The number of detections, and the level that a region is cut from, are known only once a photo is
seen; torch.export cannot follow such loops. Which of equal scores come first is left open by
PyTorch's own topk. As operators of their own they are opaque to it: PyTorch runs the definitions in
`models.postprocess` and `models.roi`, and `export.onnx.operators` gives ONNX a subgraph for each.
The parity gate compares the two on real photos.
"""

import torch
from torch import Tensor

from models import postprocess, roi


@torch.library.custom_op("boxport::candidate_anchors", mutates_args=())
def candidate_anchors(
    logits: Tensor, score_threshold: Tensor, max_detections: Tensor, max_candidates: int
) -> Tensor:
    """See `models.postprocess.candidate_anchors`."""
    return postprocess.candidate_anchors(logits, score_threshold, max_detections, max_candidates)


@candidate_anchors.register_fake
def _(
    logits: Tensor, score_threshold: Tensor, max_detections: Tensor, max_candidates: int
) -> Tensor:
    candidates = torch.library.get_ctx().new_dynamic_size()
    return logits.new_empty((logits.shape[0], candidates), dtype=torch.int64)


@torch.library.custom_op("boxport::select_detections", mutates_args=())
def select_detections(
    scores: Tensor,
    boxes: Tensor,
    score_threshold: Tensor,
    iou_threshold: Tensor,
    max_detections: Tensor,
    max_candidates: int,
    class_agnostic: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `models.postprocess.select_detections`."""
    return postprocess.select_detections(
        scores,
        boxes,
        score_threshold,
        iou_threshold,
        max_detections,
        max_candidates,
        class_agnostic,
    )


@select_detections.register_fake
def _(
    scores: Tensor,
    boxes: Tensor,
    score_threshold: Tensor,
    iou_threshold: Tensor,
    max_detections: Tensor,
    max_candidates: int,
    class_agnostic: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images = scores.shape[0]
    detections = torch.library.get_ctx().new_dynamic_size()
    return (
        scores.new_empty((images,), dtype=torch.int64),
        boxes.new_empty((images, detections, 4)),
        scores.new_empty((images, detections)),
        scores.new_empty((images, detections), dtype=torch.int64),
    )


@torch.library.custom_op("boxport::pool_regions", mutates_args=())
def pool_regions(
    features: list[Tensor], boxes: Tensor, levels: Tensor, strides: list[int], pooling: str
) -> Tensor:
    """See `models.roi.pool_regions`."""
    return roi.pool_regions(features, boxes, levels, strides, pooling)


@pool_regions.register_fake
def _(
    features: list[Tensor], boxes: Tensor, levels: Tensor, strides: list[int], pooling: str
) -> Tensor:
    regions, channels = boxes.shape[0] * boxes.shape[1], features[0].shape[1]
    return features[0].new_empty((regions, channels, roi.OUTPUT_SIZE, roi.OUTPUT_SIZE))
