"""Made files whose outputs are final detections: suppressed by the file, in the form of each
exporter."""

import numpy as np
from onnxscript import ir

from tests.export.adopt.maker import CLASSES, NAMES, SIDE, STRIDES, Made, Maker, Value, decoded


def kept(
    maker: Maker, images: Value, background: bool = False, scale: float = 3.0
) -> tuple[Value, Value, Value]:
    """Boxes [D, 4] in pixels, their scores [D] and their classes int64 [D], the best first, after a
    NonMaxSuppression with 10 of each class, IoU .45 and scores above .25; ``scale`` is that of the
    weights, less where pixels vary more."""
    op, classes = maker.op, len(CLASSES)
    raw, logits = maker.split(maker.places(images, 4 + classes, scale=scale), [4, classes], 1)
    centre, size = maker.split(decoded(maker, raw, STRIDES), [2, 2], 1)
    half = op.Mul(size, 0.5)
    corners = op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1)
    boxes = op.Transpose(corners, perm=[0, 2, 1])
    scores = op.Softmax(logits, axis=1) if background else op.Sigmoid(logits)
    limits = (maker.constant([10], np.int64), maker.constant([0.45]), maker.constant([0.25]))
    found = op.NonMaxSuppression(boxes, scores, *limits)
    image, label, place = maker.split(found, [1, 1, 1], 1)
    values = op.GatherND(scores, found)
    best, order = op.TopK(values, op.Shape(values), _outputs=2)
    chosen = op.Gather(op.GatherND(boxes, op.Concat(image, place, axis=1)), order)
    return chosen, best, op.Gather(op.Squeeze(label, [1]), order)


def retinanet(maker: Maker, images: Value) -> dict[str, Value]:
    boxes, scores, labels = kept(maker, maker.op.Unsqueeze(images, [0]))
    return {"1203": boxes, "1204": scores, "1205": labels}


def faster_rcnn(maker: Maker, images: Value) -> dict[str, Value]:
    boxes, scores, labels = kept(maker, images, background=True)
    return {"boxes": boxes, "labels": maker.op.Add(labels, 1), "scores": scores}


def padded(
    maker: Maker, images: Value, pixels: bool, first: int
) -> tuple[Value, Value, Value, Value]:
    """Boxes [1, 30, 4], scores and classes [1, 30] and their number [1], float, filled with zeros;
    boxes relative ymin, xmin, ymax, xmax unless they are of ``pixels``."""
    op = maker.op
    boxes, scores, labels = kept(maker, images)
    if not pixels:
        boxes = op.Mul(op.Gather(boxes, [1, 0, 3, 2], axis=1), 1 / SIDE)
    number = op.Shape(scores)
    zero, missing = maker.constant([0], np.int64), op.Sub(maker.constant([30], np.int64), number)
    ends = op.Concat(zero, missing, axis=0)
    labels = op.Cast(op.Add(labels, first), to=1)
    rows = op.Concat(zero, zero, missing, zero, axis=0)
    return (
        op.Unsqueeze(op.Pad(boxes, rows), [0]),
        op.Unsqueeze(op.Pad(scores, ends), [0]),
        op.Unsqueeze(op.Pad(labels, ends), [0]),
        op.Cast(number, to=1),
    )


def tf_detection(maker: Maker, images: Value) -> dict[str, Value]:
    """Reads uint8 [1, H, W, 3]."""
    op = maker.op
    pixels = op.Mul(op.Cast(op.Transpose(images, perm=[0, 3, 1, 2]), to=1), 1 / 255)
    boxes, scores, labels, number = padded(maker, pixels, pixels=False, first=1)
    return {
        "detection_boxes": boxes,
        "detection_classes": labels,
        "detection_scores": scores,
        "num_detections": number,
    }


def tflite(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    pixels = op.Add(op.Mul(op.Transpose(images, perm=[0, 3, 1, 2]), 0.5), 0.5)
    boxes, scores, labels, number = padded(maker, pixels, pixels=False, first=0)
    name = "TFLite_Detection_PostProcess"
    return {name: boxes, f"{name}:1": labels, f"{name}:2": scores, f"{name}:3": number}


def tflite_renamed(maker: Maker, images: Value) -> dict[str, Value]:
    """TensorFlow 2's names, which say nothing."""
    names = {"": 1, ":1": 3, ":2": 0, ":3": 2}
    found = list(tflite(maker, images).values())
    return {f"StatefulPartitionedCall{end}": found[i] for end, i in names.items()}


def paddle(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    factor = maker.input("scale_factor", ir.DataType.FLOAT, [1, 2])
    boxes, scores, labels = kept(maker, images, scale=0.7)
    boxes = op.Div(boxes, op.Tile(factor, [1, 2]))
    columns = op.Unsqueeze(op.Cast(labels, to=1), [1]), op.Unsqueeze(scores, [1]), boxes
    number = op.Cast(op.Shape(scores), to=6)
    return {
        "multiclass_nms3_0.tmp_0": op.Concat(*columns, axis=1),
        "multiclass_nms3_0.tmp_2": number,
    }


def yolov7(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    boxes, scores, labels = kept(maker, images)
    label, score = op.Unsqueeze(op.Cast(labels, to=1), [1]), op.Unsqueeze(scores, [1])
    photo = op.Mul(label, 0.0)
    return {"output": op.Concat(photo, boxes, label, score, axis=1)}


def mmdeploy(maker: Maker, images: Value) -> dict[str, Value]:
    op = maker.op
    boxes, scores, labels = kept(maker, images, scale=0.7)
    dets = op.Concat(boxes, op.Unsqueeze(scores, [1]), axis=1)
    return {"dets": op.Unsqueeze(dets, [0]), "labels": op.Unsqueeze(labels, [0])}


NAMED = {"names": NAMES}
WITH_BACKGROUND = {"names": str(["__background__", *CLASSES])}
NHWC = (1, SIDE, SIDE, 3)
MADE = (
    Made("retinanet", "torchvision", retinanet, NAMED, (3, SIDE, SIDE), batching="scan"),
    Made("faster_rcnn", "torchvision", faster_rcnn, NAMED, batching="scan"),
    Made("faster_rcnn_91", "torchvision", faster_rcnn, WITH_BACKGROUND, batching="scan"),
    Made(
        "tf_detection",
        "tf_detection",
        tf_detection,
        NAMED,
        NHWC,
        ir.DataType.UINT8,
        batching="scan",
    ),
    Made("tflite", "tflite", tflite, NAMED, NHWC, batching="scan"),
    Made("tflite_renamed", "tflite", tflite_renamed, NAMED, NHWC, batching="scan"),
    Made("yolov7_nms", "yolov7_nms", yolov7, NAMED, batching="scan"),
    Made("paddle", "paddle", paddle, NAMED, opset=11, batching="scan"),
    Made("mmdeploy", "mmdeploy", mmdeploy, NAMED, opset=11, batching="scan"),
)
