"""Made files of SSD, RetinaFace, TensorRT's plug-ins, and outputs of no family."""

from collections.abc import Callable
from typing import Any

import numpy as np

from export.adopt.decoders.row import Given
from tests.export.adopt.made_detr import WIDE
from tests.export.adopt.made_final import kept
from tests.export.adopt.maker import (
    CLASSES,
    NAMES,
    SIDE,
    STRIDES,
    ULTRALYTICS,
    Made,
    Maker,
    Value,
    decoded,
)


def rows(maker: Maker, images: Value, *depths: int, scale: float = 3.0) -> list[Value]:
    """[1, P, depth] of each depth: two at each place."""
    op, total = maker.op, sum(depths)
    places = op.Reshape(maker.places(images, 2 * total, scale=scale), [1, 2, total, -1])
    values = op.Reshape(op.Transpose(places, perm=[0, 3, 1, 2]), [1, -1, total])
    return maker.split(values, depths, 2)


def retinaface(maker: Maker, images: Value) -> dict[str, Value]:
    loc, conf, landmarks = rows(maker, images, 4, 2, 10, scale=0.03)
    return {"output": loc, "outputt": maker.op.Softmax(conf, axis=-1), "outputtt": landmarks}


def ssd_with_priors(maker: Maker, images: Value) -> dict[str, Value]:
    """amdegroot/ssd.pytorch: offsets, logits, and priors, squares of two sizes at each place."""
    centres = []
    for stride in STRIDES:
        y, x = np.mgrid[: SIDE // stride, : SIDE // stride]
        for row, column in zip(y.flat, x.flat, strict=True):
            for size in (2 * stride, 3 * stride):
                place = [(column + 0.5) * stride, (row + 0.5) * stride, size, size]
                centres.append(np.minimum(np.array(place) / SIDE, 1))
    loc, conf = rows(maker, images, 4, 1 + len(CLASSES), scale=0.03)
    return {"loc": loc, "conf": conf, "priors": maker.op.Identity(maker.constant(centres))}


def ssdlite(maker: Maker, images: Value) -> dict[str, Value]:
    """Heads of torchvision's: 3234 places of its 320 x 320."""
    op, places, depth = maker.op, 3234, 5 + len(CLASSES)
    pooled = op.AveragePool(images, kernel_shape=[40, 40], strides=[40, 40])
    mixed = op.MatMul(op.Reshape(pooled, [1, 3, 64]), maker.weights(64, places, scale=0.3))
    values = op.MatMul(op.Transpose(mixed, perm=[0, 2, 1]), maker.weights(3, depth))
    offsets, scores = maker.split(values, [4, 1 + len(CLASSES)], 2)
    return {"bbox_regression": offsets, "cls_logits": op.Softmax(scores, axis=-1)}


def plugin(
    kind: str, *, by_class: bool = False, relative: bool = False, **attributes: Any
) -> Callable[[Maker, Value], dict[str, Value]]:
    """Ends in a node of TensorRT's."""

    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op, classes = maker.op, len(CLASSES)
        raw, scores = maker.split(maker.places(images, 4 + classes), [4, classes], 1)
        boxes = op.Transpose(decoded(maker, raw, STRIDES), perm=[0, 2, 1])
        scores = op.Transpose(scores, perm=[0, 2, 1])
        if not attributes.get("score_activation"):
            scores = op.Sigmoid(scores)
        if not attributes.get("box_coding"):
            centre, size = maker.split(boxes, [2, 2], 2)
            half = op.Mul(size, 0.5)
            boxes = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=2)
        if relative:
            boxes = op.Mul(boxes, 1 / SIDE)
        if by_class:  # each a little further right
            shift = np.zeros((1, 1, classes, 4))
            shift[0, 0, :, ::2] = np.arange(classes)[:, None]
            boxes = op.Add(op.Unsqueeze(boxes, [2]), maker.constant(shift))
        names = ("num_dets", "det_boxes", "det_scores", "det_classes")
        ends = getattr(op, kind)(boxes, scores, _domain="TRT", _outputs=list(names), **attributes)
        return dict(zip(names, ends, strict=True))

    return make


def ultraface(maker: Maker, images: Value) -> dict[str, Value]:
    """Scores of background and face, and relative corners."""
    op = maker.op
    raw, scores = maker.split(maker.places(images, 6), [4, 2], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    half = op.Mul(size, 0.5)
    corners = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1)
    boxes = op.Transpose(op.Mul(corners, 1 / SIDE), perm=[0, 2, 1])
    return {"scores": op.Softmax(op.Transpose(scores, perm=[0, 2, 1]), axis=-1), "boxes": boxes}


def logits_last(maker: Maker, images: Value) -> dict[str, Value]:
    """Boxes as corner and size in pixels, and logits of which the last is the background."""
    op, channels = maker.op, len(CLASSES) + 1
    raw, logits = maker.split(maker.places(images, 4 + channels), [4, channels], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    boxes = op.Concat(op.Sub(centre, op.Mul(size, 0.5)), size, axis=1)
    found = {"where": boxes, "what": logits}
    return {name: op.Transpose(value, perm=[0, 2, 1]) for name, value in found.items()}


def final_parts(maker: Maker, images: Value) -> dict[str, Value]:
    """Detections [D] in shares of the sides, classes from 1 in float, and one output more."""
    op = maker.op
    boxes, scores, labels = kept(maker, images)
    return {
        "classes": op.Cast(op.Add(labels, 1), to=1),
        "found": op.Shape(scores),
        "rects": op.Mul(op.Gather(boxes, [1, 0, 3, 2], axis=1), 1 / SIDE),
        "conf": scores,
    }


NAMED = {"names": NAMES}
SSDLITE = Made("ssdlite", "ssd", ssdlite, NAMED, (1, 3, 320, 320))
MADE = (
    Made("retinaface", "retinaface", retinaface, shape=(1, 3, *WIDE), opset=11),
    Made("ssd_with_priors", "ssd", ssd_with_priors, NAMED),
    Made("efficient_nms", "efficient_nms", plugin("EfficientNMS_TRT"), ULTRALYTICS),
    Made(
        "efficient_nms_logits",
        "efficient_nms",
        plugin("EfficientNMS_TRT", relative=True, score_activation=1, box_coding=1),
        NAMED,
    ),
    Made(
        "batched_nms",
        "efficient_nms",
        plugin("BatchedNMSDynamic_TRT", by_class=True, backgroundLabelId=-1),
        NAMED,
        opset=11,
    ),
    Made(
        "ultraface",
        "generic",
        ultraface,
        {"names": "['face']"},
        given=Given("generic", settings={"box_format": "xyxy", "background": "first"}),
        outputs=("boxes", "scores"),
    ),
    Made(
        "logits_last",
        "generic",
        logits_last,
        NAMED,
        given=Given(
            "generic",
            settings={"box_format": "xywh", "activation": "softmax", "background": "last"},
        ),
    ),
    Made(
        "final_parts",
        "generic",
        final_parts,
        NAMED,
        given=Given("generic", settings={"box_format": "yxyx", "background": "first"}),
        outputs=("rects", "conf", "classes"),
        batching="scan",
    ),
)
