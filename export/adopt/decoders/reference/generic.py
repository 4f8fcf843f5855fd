"""Boxes and scores as settings describe them: the user's, or those of a plug-in."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.reference.final import one_hot
from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array

WANTED = {"first": slice(1, None), "last": slice(-1), None: slice(None)}  # by the background


def generic(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    settings, boxes = layout.settings, to_pixels(outputs[0], layout)
    if len(outputs) == 3:
        labels = outputs[2].reshape(-1).astype(int) - (settings["background"] == "first")
        return one_hot(outputs[1].reshape(-1), labels, layout.classes), boxes
    scores = activated(outputs[1].reshape(outputs[1].shape[-2:]), settings["activation"])
    return scores[:, WANTED[settings["background"]]], boxes


def efficient_nms(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """NVIDIA/TensorRT `plugin/efficientNMSPlugin/README.md`: BoxCorner or BoxCenterSize; a box for
    each place, or for each place and class."""
    settings, wanted = layout.settings, WANTED[layout.settings["background"]]
    boxes, scores = outputs[0][0], activated(outputs[1][0], settings["activation"])[:, wanted]
    if boxes.ndim == 3 and boxes.shape[1] > 1:
        boxes, classes = boxes[:, wanted], scores.shape[1]
        scores = (scores[:, :, None] * np.eye(classes)).reshape(-1, classes)  # of a pair, its class
    return scores, to_pixels(boxes, layout)


def activated(scores: Array, activation: str | None) -> Array:
    scores = scores.astype(np.float64)
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-scores)))
    if activation == "softmax":
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    return scores


def to_pixels(boxes: Array, layout: Layout) -> Array:
    """xyxy [A, 4] in pixels of boxes in the settings' format and units."""
    found = corners(boxes.reshape(-1, 4).astype(np.float64), layout.settings["box_format"])
    sides = [layout.width, layout.height] * 2
    return found * sides if layout.settings["relative"] else found


def corners(boxes: Array, box_format: str) -> Array:
    """xyxy of any format."""
    a, b, c, d = boxes.T
    if box_format == "yxyx":
        a, b, c, d = b, a, d, c
    elif box_format == "xywh":
        c, d = a + c, b + d
    elif box_format == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return np.stack((a, b, c, d), axis=1)
