"""Steps that depend on the data, as operators that torch.export does not trace into.

The number of detections, and the level that a region is cut from, are known only at run time;
torch.export cannot follow such loops. Which of equal scores come first is left open by PyTorch's
own topk. And for crops ONNX has an operator that is three times as fast as what is traced. As
custom operators they are opaque to it: PyTorch runs the definitions in `models.postprocess` and
`models.roi`, and `export.onnx.operators` gives ONNX a subgraph for each. The parity gate compares
the two on real photos.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from models import postprocess, roi

candidate_anchors = custom_op(
    "boxport::candidate_anchors", postprocess.candidate_anchors, mutates_args=()
)
select_detections = custom_op(
    "boxport::select_detections", postprocess.select_detections, mutates_args=()
)
pool_regions = custom_op("boxport::pool_regions", roi.pool_regions, mutates_args=())
crop_regions = custom_op("boxport::crop_regions", roi.crop_regions, mutates_args=())
outlined_boxes = custom_op("boxport::outlined_boxes", postprocess.outlined_boxes, mutates_args=())
padded_contours = custom_op(
    "boxport::padded_contours", postprocess.padded_contours, mutates_args=()
)


@candidate_anchors.register_fake
def _(logits: Tensor, *settings: Any) -> Tensor:
    candidates = torch.library.get_ctx().new_dynamic_size()
    return logits.new_empty((logits.shape[0], candidates), dtype=torch.int64)


@select_detections.register_fake
def _(scores: Tensor, boxes: Tensor, *settings: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images = scores.shape[0]
    detections = torch.library.get_ctx().new_dynamic_size()
    return (
        scores.new_empty((images,), dtype=torch.int64),
        boxes.new_empty((images, detections, 4)),
        scores.new_empty((images, detections)),
        scores.new_empty((images, detections), dtype=torch.int64),
    )


@pool_regions.register_fake
def _(features: list[Tensor], boxes: Tensor, *settings: Any) -> Tensor:
    regions, channels = boxes.shape[0] * boxes.shape[1], features[0].shape[1]
    return features[0].new_empty((regions, channels, roi.OUTPUT_SIZE, roi.OUTPUT_SIZE))


@crop_regions.register_fake
def _(images: Tensor, boxes: Tensor, side: int) -> Tensor:
    return images.new_empty((boxes.shape[0] * boxes.shape[1], images.shape[1], side, side))


@outlined_boxes.register_fake
def _(number: Tensor, boxes: Tensor) -> Tensor:
    outlined = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty((boxes.shape[0], outlined, 4))


@padded_contours.register_fake
def _(number: Tensor, boxes: Tensor, contours: Tensor) -> Tensor:
    return contours.new_empty((*boxes.shape[:2], *contours.shape[2:]))
