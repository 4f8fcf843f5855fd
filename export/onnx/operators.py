"""ONNX subgraphs for the operators in `models.operators`.

Loops that torch.export cannot trace are operators of their own, which the exporter replaces by the
subgraphs below. The parity gate then compares the two on real photos.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import FLOAT, INT64, opset20

import models.operators  # noqa: F401  registers the operators
from models.postprocess import MOST_OUTLINED, SCORE_ROUNDING
from models.roi import OUTPUT_SIZE, SAMPLES

op: Any = opset20  # its stubs know no symbolic values


def ints(*values: int) -> Any:
    return op.Constant(value_ints=list(values))


def candidate_anchors_in_onnx(
    logits: Any,  # float32 [N, A, C]
    score_threshold: Any,  # float32
    max_detections: Any,  # int64
    max_candidates: int,
) -> Any:
    """The subgraph: indices int64 [N, k]."""
    best = op.ReduceMax(logits, ints(2), keepdims=0)
    return best_candidates(best, op.Sigmoid(best), score_threshold, max_detections, max_candidates)


def best_candidates(
    best: Any,  # float32 [N, A], to choose by
    scores: Any,  # float32 [N, A] in 0..1, in the same order
    score_threshold: Any,
    max_detections: Any,
    max_candidates: int,
) -> Any:
    """Indices int64 [N, k] of the best, as many as `select_detections_in_onnx` can make use of."""
    lowest = op.Sub(score_threshold, op.Constant(value_float=SCORE_ROUNDING))
    above = op.Cast(op.Greater(scores, lowest), to=INT64.dtype)
    most = op.ReduceMax(op.ReduceSum(above, ints(1), keepdims=0), ints(0))  # of all images
    number = op.Max(most, max_detections, ints(1))
    number = op.Min(number, ints(max_candidates), op.Shape(best, start=1, end=2))
    _, top = op.TopK(best, number)
    return top


def _best_anchors(scores: Any, number: int) -> tuple[Any, Any]:
    """Scores of the anchors whose best class scores best, and their indices, [N, k] each."""
    anchors = scores.shape[1]
    kept = (
        ints(min(number, anchors))
        if isinstance(anchors, int)
        else op.Min(ints(number), op.Shape(scores, start=1, end=2))
    )
    best, top = op.TopK(op.ReduceMax(scores, ints(2), keepdims=0), kept)
    return best, top


def select_detections_in_onnx(
    scores: Any,  # float32 [N, A, C]
    boxes: Any,  # float32 [N, A, 4]
    score_threshold: Any,  # float32
    iou_threshold: Any,  # float32
    max_detections: Any,  # int64
    max_candidates: int,
    class_agnostic: Any = None,  # bool
) -> tuple[Any, ...]:
    """The subgraph: the outputs of docs/graph.md. Of equal scores the lower index comes first, in
    ONNX's TopK and NMS as in PyTorch's definition."""
    classes = scores.shape[2]
    best, top = _best_anchors(scores, max_candidates)  # [N, k]
    candidates = op.Shape(top, start=1, end=2)  # k
    top = op.Unsqueeze(top, ints(-1))
    top_boxes = op.GatherND(boxes, top, batch_dims=1)  # [N, k, 4]
    top_scores = op.GatherND(scores, top, batch_dims=1)  # [N, k, C]
    class_scores = op.Transpose(top_scores, perm=[0, 2, 1])  # [N, C, k]
    if class_agnostic is not None:
        # NMS compares within a class: the best scores as the first class, nothing in the others
        one_class = op.Pad(op.Unsqueeze(best, ints(1)), ints(0, 0, 0, 0, classes - 1, 0))
        class_scores = op.Where(class_agnostic, one_class, class_scores)

    # rows of (image, class, candidate)
    settings = (max_detections, iou_threshold, score_threshold)
    kept = op.NonMaxSuppression(top_boxes, class_scores, *settings)
    blank = op.ConstantOfShape(op.Shape(class_scores))
    kept_scores = op.ScatterND(blank, kept, op.GatherND(class_scores, kept))  # [N, C, k]
    flat = op.Reshape(kept_scores, ints(0, -1))

    rows = op.Min(max_detections, op.Mul(candidates, ints(classes)))
    best_scores, index = op.TopK(flat, rows)  # [N, K]
    found = op.Greater(best_scores, op.Constant(value_float=0.0))
    label = op.Div(index, candidates)
    candidate = op.Unsqueeze(op.Mod(index, candidates), ints(-1))
    if class_agnostic is not None:
        all_scores = op.GatherND(top_scores, candidate, batch_dims=1)  # [N, K, C]
        label = op.Where(class_agnostic, op.ArgMax(all_scores, axis=2, keepdims=0), label)
    best_boxes = op.GatherND(top_boxes, candidate, batch_dims=1)  # [N, K, 4]
    found_column = op.Unsqueeze(found, ints(-1))
    return (
        op.ReduceSum(op.Cast(found, to=INT64.dtype), ints(1), keepdims=0),
        op.Where(found_column, best_boxes, op.Constant(value_float=0.0)),
        best_scores,
        op.Where(found, label, op.Constant(value_int=-1)),
    )


def pool_regions_in_onnx(
    features: Sequence[Any],  # float32 [N, C, H_l, W_l]
    boxes: Any,  # float32 [N, R, 4]
    levels: Any,  # int64 [N, R]
    strides: Sequence[int],
    pooling: str,
) -> Any:
    """The subgraph: regions float32 [N * R, C, OUTPUT_SIZE, OUTPUT_SIZE], each pooled from its
    level and put back in its place."""
    of_image = _images_of(boxes)
    flat_boxes, flat_levels = op.Reshape(boxes, ints(-1, 4)), op.Reshape(levels, ints(-1))
    channels = op.Shape(features[0], start=1, end=2)
    shape = op.Concat(op.Shape(flat_levels), channels, ints(OUTPUT_SIZE, OUTPUT_SIZE), axis=0)
    pooled = op.Expand(op.Constant(value_float=0.0), shape)
    for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        found = op.NonZero(op.Equal(flat_levels, op.Constant(value_int=level)))  # [1, M]
        members = op.Squeeze(found, ints(0))
        regions = op.Gather(flat_boxes, members)
        image = op.Gather(of_image, members)
        cut = (
            _align(feature, regions, image, stride)
            if pooling == "align"
            else _max_pool(feature, regions, image, stride)
        )
        pooled = op.ScatterND(pooled, op.Transpose(found, perm=[1, 0]), cut)
    return pooled


def crop_regions_in_onnx(
    images: Any,  # float32 [N, C, H, W]
    boxes: Any,  # float32 [N, R, 4]
    side: int,
) -> Any:
    """The subgraph: crops float32 [N * R, C, side, side]. RoiAlign repeats the image's rim for a
    pixel beyond it, so it gets one that is 0."""
    return op.RoiAlign(
        op.Pad(images, ints(0, 0, 1, 1, 0, 0, 1, 1)),
        op.Add(op.Reshape(boxes, ints(-1, 4)), op.Constant(value_float=1.0)),
        _images_of(boxes),
        coordinate_transformation_mode="half_pixel",
        mode="avg",
        output_height=side,
        output_width=side,
        sampling_ratio=SAMPLES,
    )


def _images_of(boxes: Any) -> Any:
    """The image that each of ``boxes`` [N, R, 4] is of: int64 [N * R]."""
    count = op.Squeeze(op.Shape(boxes, start=0, end=1))
    images = op.Range(op.Constant(value_int=0), count, op.Constant(value_int=1))
    spread = op.Expand(op.Unsqueeze(images, ints(1)), op.Shape(boxes, start=0, end=2))
    return op.Reshape(spread, ints(-1))


def _align(feature: Any, regions: Any, image: Any, stride: int) -> Any:
    return op.RoiAlign(
        feature,
        regions,
        image,
        coordinate_transformation_mode="output_half_pixel",
        mode="avg",
        output_height=OUTPUT_SIZE,
        output_width=OUTPUT_SIZE,
        sampling_ratio=SAMPLES,
        spatial_scale=1 / stride,
    )


def _max_pool(feature: Any, regions: Any, image: Any, stride: int) -> Any:
    column = op.Unsqueeze(op.Cast(image, to=FLOAT.dtype), ints(1))
    return op.MaxRoiPool(
        feature,
        op.Concat(column, regions, axis=1),
        pooled_shape=[OUTPUT_SIZE, OUTPUT_SIZE],
        spatial_scale=1 / stride,
    )


def outlined_boxes_in_onnx(number: Any, boxes: Any) -> Any:
    """The subgraph: boxes float32 [N, k, 4]."""
    most = op.Max(op.ReduceMax(number, keepdims=0), op.Constant(value_int=1))
    outlined = op.Min(most, op.Constant(value_int=MOST_OUTLINED))
    return op.Slice(boxes, ints(0), op.Reshape(outlined, ints(1)), ints(1))


def padded_contours_in_onnx(number: Any, boxes: Any, contours: Any) -> Any:
    """The subgraph: contours float32 [N, K, V, 2]."""
    rows = op.Shape(boxes, start=1, end=2)  # K
    more = op.Sub(rows, op.Shape(contours, start=1, end=2))
    padded = op.Pad(contours, op.Concat(ints(0, 0, 0, 0, 0), more, ints(0, 0), axis=0))
    places = op.Range(op.Constant(value_int=0), op.Squeeze(rows), op.Constant(value_int=1))
    found = op.Less(places, op.Unsqueeze(number, ints(1)))  # [N, K]
    return op.Where(op.Unsqueeze(found, ints(2, 3)), padded, op.Constant(value_float=0.0))


ONNX_TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.boxport.candidate_anchors.default: candidate_anchors_in_onnx,
    torch.ops.boxport.select_detections.default: select_detections_in_onnx,
    torch.ops.boxport.pool_regions.default: pool_regions_in_onnx,
    torch.ops.boxport.crop_regions.default: crop_regions_in_onnx,
    torch.ops.boxport.outlined_boxes.default: outlined_boxes_in_onnx,
    torch.ops.boxport.padded_contours.default: padded_contours_in_onnx,
}
