"""Outputs as the user describes them."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.reference.final import one_hot
from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def generic(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    settings = layout.settings
    boxes = corners(outputs[0].reshape(-1, 4).astype(np.float64), settings["box_format"])
    if settings["relative"]:
        boxes = boxes * [layout.width, layout.height, layout.width, layout.height]
    if len(outputs) == 3:
        labels = outputs[2].reshape(-1).astype(int) - (settings["background"] == "first")
        return one_hot(outputs[1].reshape(-1), labels, layout.classes), boxes
    scores = outputs[1].reshape(outputs[1].shape[-2:]).astype(np.float64)
    if settings["activation"] == "sigmoid":
        scores = 1 / (1 + np.exp(-scores))
    elif settings["activation"] == "softmax":
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    skipped = {"first": slice(1, None), "last": slice(-1), None: slice(None)}
    return scores[:, skipped[settings["background"]]], boxes


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
