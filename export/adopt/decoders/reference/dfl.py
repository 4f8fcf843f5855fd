"""NanoDet's and PicoDet's decoding after the network, as their repositories do it."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def softmax(x: Array) -> Array:
    e: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def heads(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """PaddleDetection `deploy/third_engine/demo_onnxruntime/infer_demo.py`; RangiLyu/nanodet at
    `nanodet/model/head/nanodet_head.py`, whose centres are the same."""
    strides = layout.settings["strides"]
    scores, boxes = [], []
    for level, stride in enumerate(strides):
        score = outputs[level].reshape(-1, layout.classes)
        distribution = outputs[level + len(strides)]
        height, width = -(-layout.height // stride), -(-layout.width // stride)
        xv, yv = np.meshgrid(np.arange(width), np.arange(height))
        centre = (np.stack((xv, yv), 2).reshape(-1, 2) + 0.5) * stride
        scores.append(score)
        boxes.append(_boxes(distribution, centre, stride, layout.settings["bins"]))
    return np.concatenate(scores), np.concatenate(boxes)


def joined(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """RangiLyu/nanodet `nanodet/model/head/nanodet_plus_head.py`: `get_single_level_center_priors`
    has no offset of a half."""
    prediction, bins = outputs[0][0], layout.settings["bins"]
    boxes, start = [], 0
    for stride in layout.settings["strides"]:
        height, width = -(-layout.height // stride), -(-layout.width // stride)
        xv, yv = np.meshgrid(np.arange(width) * stride, np.arange(height) * stride)
        centre = np.stack((xv, yv), 2).reshape(-1, 2)
        level = prediction[start : start + len(centre), layout.classes :]
        boxes.append(_boxes(level, centre, stride, bins))
        start += len(centre)
    return prediction[:, : layout.classes], np.concatenate(boxes)


def _boxes(distribution: Array, centre: Array, stride: int, bins: int) -> Array:
    """`Integral`, `distance2bbox`."""
    shares = softmax(distribution.reshape(-1, 4, bins))
    distance = (shares * np.arange(bins)).sum(axis=-1) * stride
    return np.concatenate((centre - distance[:, :2], centre + distance[:, 2:]), axis=1)
