"""What TensorRT's plug-ins for suppression take their inputs for."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def efficient_nms(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """NVIDIA/TensorRT `plugin/efficientNMSPlugin/README.md`: BoxCorner or BoxCenterSize."""
    settings, (boxes, scores) = layout.settings, (output[0] for output in outputs)
    if settings["activation"] == "sigmoid":
        scores = 1 / (1 + np.exp(-scores.astype(np.float64)))
    wanted = slice(None)
    if settings["background"] is not None:
        wanted = slice(1, None) if settings["background"] == "first" else slice(-1)
        scores = scores[:, wanted]
    if boxes.ndim == 3 and boxes.shape[1] > 1:
        boxes = boxes[:, wanted].reshape(-1, 4)
        places, classes = scores.shape
        scores = scores[:, :, None] * np.eye(classes)  # of each pair, one class
        scores = scores.reshape(places * classes, classes)
    boxes = boxes.reshape(-1, 4).astype(np.float64)
    if settings["box_format"] == "cxcywh":
        half = boxes[:, 2:] / 2
        boxes = np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
    if settings["relative"]:
        boxes = boxes * [layout.width, layout.height, layout.width, layout.height]
    return scores, boxes
