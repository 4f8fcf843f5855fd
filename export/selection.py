"""`models.postprocess.select_detections` as an operator: PyTorch runs it, ONNX gets a subgraph.

The number of detections depends on the data, which torch.export cannot follow through a loop. As an
operator of its own the selection is opaque to it, and the exporter puts the ONNX subgraph below in
its place. The parity gate then compares the two on real photos.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import INT64, opset20
from torch import Tensor

from models import postprocess

op: Any = opset20  # its stubs know no symbolic values


@torch.library.custom_op("boxport::select_detections", mutates_args=())
def select_detections(
    scores: Tensor,
    boxes: Tensor,
    score_threshold: Tensor,
    iou_threshold: Tensor,
    max_detections: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `models.postprocess.select_detections`."""
    return postprocess.select_detections(
        scores, boxes, score_threshold, iou_threshold, max_detections
    )


@select_detections.register_fake
def _shapes(
    scores: Tensor, boxes: Tensor, *thresholds: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images = scores.shape[0]
    detections = torch.library.get_ctx().new_dynamic_size()
    return (
        scores.new_empty((images,), dtype=torch.int64),
        boxes.new_empty((images, detections, 4)),
        scores.new_empty((images, detections)),
        scores.new_empty((images, detections), dtype=torch.int64),
    )


def select_detections_in_onnx(
    scores: Any,  # float32 [N, A, C]
    boxes: Any,  # float32 [N, A, 4]
    score_threshold: Any,  # float32
    iou_threshold: Any,  # float32
    max_detections: Any,  # int64
) -> tuple[Any, ...]:
    """The subgraph. Ties fall as in PyTorch: ONNX's TopK and NMS prefer the lower index."""
    anchors, classes = scores.shape[1], scores.shape[2]
    candidates = min(postprocess.MAX_CANDIDATES, anchors)

    best_class = op.ReduceMax(scores, op.Constant(value_ints=[2]), keepdims=0)  # [N, A]
    _, top = op.TopK(best_class, op.Constant(value_ints=[candidates]))  # [N, k]
    top = op.Unsqueeze(top, op.Constant(value_ints=[-1]))
    top_boxes = op.GatherND(boxes, top, batch_dims=1)  # [N, k, 4]
    top_scores = op.GatherND(scores, top, batch_dims=1)  # [N, k, C]
    by_class = op.Transpose(top_scores, perm=[0, 2, 1])  # [N, C, k]

    # rows of (image, class, candidate)
    kept = op.NonMaxSuppression(top_boxes, by_class, max_detections, iou_threshold, score_threshold)
    blank = op.Mul(by_class, op.Constant(value_float=0.0))
    kept_scores = op.ScatterND(blank, kept, op.GatherND(by_class, kept))  # [N, C, k]
    flat = op.Reshape(kept_scores, op.Constant(value_ints=[0, classes * candidates]))

    rows = op.Min(max_detections, op.Constant(value_int=classes * candidates))
    best_scores, index = op.TopK(flat, op.Reshape(rows, op.Constant(value_ints=[1])))  # [N, K]
    found = op.Greater(best_scores, op.Constant(value_float=0.0))
    label = op.Div(index, op.Constant(value_int=candidates))
    candidate = op.Mod(index, op.Constant(value_int=candidates))
    candidate = op.Unsqueeze(candidate, op.Constant(value_ints=[-1]))
    best_boxes = op.GatherND(top_boxes, candidate, batch_dims=1)  # [N, K, 4]
    found_column = op.Unsqueeze(found, op.Constant(value_ints=[-1]))
    return (
        op.ReduceSum(op.Cast(found, to=INT64.dtype), op.Constant(value_ints=[1]), keepdims=0),
        op.Where(found_column, best_boxes, op.Constant(value_float=0.0)),
        best_scores,
        op.Where(found, label, op.Constant(value_int=-1)),
    )


ONNX_TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.boxport.select_detections.default: select_detections_in_onnx
}
