"""SSD's and RetinaFace's priors and decoding, as their repositories do it."""

from collections.abc import Sequence
from itertools import product
from math import ceil, log, sqrt

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array

FACE_MIN_SIZES = [[16, 32], [64, 128], [256, 512]]
FACE_STEPS = [8, 16, 32]
ASPECT_RATIOS = {
    "ssd300": [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
    "ssdlite320": [[2, 3]] * 6,
}
FEATURE_MAPS = {"ssd300": [38, 19, 10, 5, 3, 1], "ssdlite320": [20, 10, 5, 3, 2, 1]}
SSD300_STEPS = [8, 16, 32, 64, 100, 300]
SSD300_SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]


def ssd(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """torchvision `models/detection/ssd.py`, `postprocess_detections`; amdegroot/ssd.pytorch
    `layers/box_utils.py`, where the file has its priors."""
    recipe = layout.settings["recipe"]
    priors = default_boxes(recipe) if recipe else layout.settings["priors"]
    return _decoded(outputs, priors, layout, 1000 / 16 if recipe else None)


def retinaface(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """biubug6/Pytorch_Retinaface `layers/functions/prior_box.py`, `utils/box_utils.py`."""
    anchors = []
    for k, step in enumerate(FACE_STEPS):
        f = [ceil(layout.height / step), ceil(layout.width / step)]
        for i, j in product(range(f[0]), range(f[1])):
            for min_size in FACE_MIN_SIZES[k]:
                anchors.append([(j + 0.5) * step, (i + 0.5) * step, min_size, min_size])
    return _decoded(outputs, np.array(anchors), layout, None)


def default_boxes(recipe: str) -> Array:
    """torchvision `models/detection/anchor_utils.py`, `DefaultBoxGenerator`: cxcywh in pixels."""
    side = 300 if recipe == "ssd300" else 320
    scales = SSD300_SCALES
    if recipe == "ssdlite320":
        scales = [0.2 + (0.95 - 0.2) * k / 5 for k in range(6)] + [1.0]
    boxes = []
    for k, f_k in enumerate(FEATURE_MAPS[recipe]):
        wh = [[scales[k]] * 2, [sqrt(scales[k] * scales[k + 1])] * 2]
        for ar in ASPECT_RATIOS[recipe][k]:
            w, h = scales[k] * sqrt(ar), scales[k] / sqrt(ar)
            wh.extend([[w, h], [h, w]])
        x_f_k = side / SSD300_STEPS[k] if recipe == "ssd300" else f_k
        for y, x in product(range(f_k), repeat=2):
            for w, h in wh:
                boxes.append([(x + 0.5) / x_f_k, (y + 0.5) / x_f_k, min(w, 1), min(h, 1)])
    return np.array(boxes) * side


def _decoded(
    outputs: Sequence[Array], priors: Array, layout: Layout, largest: float | None
) -> tuple[Array, Array]:
    loc, conf = (output.reshape(output.shape[-2:]).astype(np.float64) for output in outputs)
    if layout.settings["activation"] == "softmax":
        conf = np.exp(conf - conf.max(axis=1, keepdims=True))
        conf /= conf.sum(axis=1, keepdims=True)
    grown = loc[:, 2:] * 0.2
    if largest is not None:
        grown = np.minimum(grown, log(largest))
    boxes = np.concatenate(
        (priors[:, :2] + loc[:, :2] * 0.1 * priors[:, 2:], priors[:, 2:] * np.exp(grown)), axis=1
    )
    boxes[:, :2] -= boxes[:, 2:] / 2
    boxes[:, 2:] += boxes[:, :2]
    return conf[:, 1:], boxes
