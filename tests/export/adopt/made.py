"""Made files of the dense detectors and of classifiers; `MADE` has those of all families."""

from collections.abc import Callable, Sequence

import numpy as np

from export.adopt.decoders.row import Given
from service.manifest import Label
from tests.export.adopt import (
    made_classifier,
    made_detr,
    made_final,
    made_priors,
    made_yolov8,
)
from tests.export.adopt.maker import (
    CLASSES,
    NAMES,
    STRIDES,
    ULTRALYTICS,
    Made,
    Maker,
    Value,
    decoded,
)


def anchored(classes: int, maps: bool = False) -> Callable[[Maker, Value], dict[str, Value]]:
    """YOLOv5 and YOLOv7: three anchors a place; ``maps``: with the maps that they are made of."""

    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op = maker.op
        parts = [maker.places(images, 5 + classes) for _ in range(3)]
        raw, scores = maker.split(op.Concat(*parts, axis=2), [4, 1 + classes], 1)
        boxes = decoded(maker, raw, STRIDES, per_place=3)
        rows = op.Concat(boxes, op.Sigmoid(scores), axis=1)
        found = {"output0": op.Transpose(rows, perm=[0, 2, 1])}
        if maps:
            found["345"] = op.Reshape(parts[0], [1, 1, 1, 5 + classes, -1])
        return found

    return make


def yolov6(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    ones = maker.constant(np.ones((1, 1, 84)))
    rows = op.Concat(decoded(maker, raw, STRIDES), ones, op.Sigmoid(scores), axis=1)
    return {"outputs": op.Transpose(rows, perm=[0, 2, 1])}


def yolox(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    places = maker.places(op.Mul(images, 1 / 255), 5 + len(CLASSES))
    raw, scores = maker.split(places, [4, 4], 1)
    rows = op.Concat(raw, op.Sigmoid(scores), axis=1)
    return {"output": op.Transpose(rows, perm=[0, 2, 1])}


def yolox_decoded(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    places = maker.places(op.Mul(images, 1 / 255), 5 + len(CLASSES))
    raw, scores = maker.split(places, [4, 4], 1)
    rows = op.Concat(decoded(maker, raw, STRIDES), op.Sigmoid(scores), axis=1)
    return {"output": op.Transpose(rows, perm=[0, 2, 1])}


def dfl_heads(
    strides: Sequence[int], batchless: bool
) -> Callable[[Maker, Value], dict[str, Value]]:
    """NanoDet and PicoDet: scores and distributions level by level."""

    def make(maker: Maker, images: Value) -> dict[str, Value]:
        op, classes = maker.op, len(CLASSES)
        scores, sides = {}, {}
        for stride in strides:
            found, bins = maker.split(maker.level(images, stride, classes + 32), [classes, 32], 1)
            for kind, value, depth in (
                (scores, op.Sigmoid(found), classes),
                (sides, bins, 32),
            ):
                shape, perm = ([depth, -1], [1, 0]) if batchless else ([1, depth, -1], [0, 2, 1])
                name = f"{'cls' if kind is scores else 'reg'}_{stride}"
                kind[name] = op.Transpose(op.Reshape(value, shape), perm=perm)
        return {**scores, **sides}

    return make


def nanodet_plus(maker: Maker, images: Value) -> dict[str, Value]:
    op, classes = maker.op, len(CLASSES)
    rows = maker.places(images, classes + 32, (8, 16, 32, 64))
    scores, bins = maker.split(rows, [classes, 32], 1)
    return {"output": op.Transpose(op.Concat(op.Sigmoid(scores), bins, axis=1), perm=[0, 2, 1])}


def best_rows(maker: Maker, images: Value, rows: int) -> Value:
    """[1, rows, 6] of left, top, right, bottom, score, class, the best first."""
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    half = op.Mul(size, 0.5)
    boxes = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1)
    probabilities = op.Sigmoid(scores)
    best, top = op.TopK(op.ReduceMax(probabilities, axes=[1], keepdims=0), [rows], _outputs=2)
    label = op.Cast(op.ArgMax(probabilities, axis=1, keepdims=0), to=1)
    chosen = op.GatherND(op.Transpose(boxes, perm=[0, 2, 1]), op.Unsqueeze(top, [2]), batch_dims=1)
    labels = op.GatherElements(label, top, axis=1)
    return op.Concat(chosen, op.Unsqueeze(best, [2]), op.Unsqueeze(labels, [2]), axis=2)


def suppressed(maker: Maker, images: Value) -> dict[str, Value]:
    """[1, 30, 6] after the file's own NonMaxSuppression, filled up with zeros."""
    op = maker.op
    raw, scores = maker.split(maker.places(images, 4 + len(CLASSES)), [4, len(CLASSES)], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    half = op.Mul(size, 0.5)
    boxes = op.Transpose(
        op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1), perm=[0, 2, 1]
    )
    probabilities = op.Sigmoid(scores)
    limits = (maker.constant([10], np.int64), maker.constant([0.45]), maker.constant([0.25]))
    kept = op.NonMaxSuppression(boxes, probabilities, *limits)
    image, label, place = maker.split(kept, [1, 1, 1], 1)
    found = op.Unsqueeze(op.GatherND(probabilities, kept), [1])
    chosen = op.GatherND(boxes, op.Concat(image, place, axis=1))
    rows = op.Concat(chosen, found, op.Cast(label, to=1), axis=1)
    missing = op.Sub(maker.constant([30], np.int64), op.Shape(rows, start=0, end=1))
    zero = maker.constant([0], np.int64)
    filled = op.Pad(rows, op.Concat(zero, zero, missing, zero, axis=0))
    return {"output0": op.Unsqueeze(filled, [0])}


def end_to_end(maker: Maker, images: Value) -> dict[str, Value]:
    return {"output0": best_rows(maker, images, 30)}


MADE = (
    *made_yolov8.MADE,
    Made("yolov5", "yolov5", anchored(3), {"names": NAMES, "stride": "32"}, opset=12),
    Made("yolov5_with_maps", "yolov5", anchored(3, maps=True), {"names": NAMES}, opset=11),
    Made("yolov5_one_class", "yolov5", anchored(1), {"names": "{0: 'cat'}"}),
    Made(
        "yolov7_one_class",
        "yolov7",
        anchored(1),
        given=Given("yolov7"),
        labels=(Label(id=0, name="cat"),),
    ),
    Made("yolov6", "yolov6", yolov6, {"names": NAMES}),
    Made("yolox", "yolox", yolox, {"names": NAMES}, opset=11),
    Made("yolox_decoded", "yolox_decoded", yolox_decoded, {"names": NAMES}, opset=11),
    Made("nanodet", "nanodet", dfl_heads(STRIDES, True), {"names": NAMES}, opset=11),
    Made("nanodet_plus", "nanodet_plus", nanodet_plus, {"names": NAMES}, opset=11),
    Made("picodet", "picodet", dfl_heads((8, 16, 32, 64), False), {"names": NAMES}, opset=11),
    Made("yolov10", "yolo_end_to_end", end_to_end, {**ULTRALYTICS, "end2end": "True"}),
    Made("yolov8_nms", "yolo_nms", suppressed, ULTRALYTICS, batching="scan"),
    *made_classifier.MADE,
    *made_detr.MADE,
    *made_final.MADE,
    *made_priors.MADE,
)
