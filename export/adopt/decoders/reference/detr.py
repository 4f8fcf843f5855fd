"""Post-processing of DETR and its kin, as their repositories do it."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def box_cxcywh_to_xyxy(boxes: Array, layout: Layout) -> Array:
    """facebookresearch/detr `util/box_ops.py`, and the scale of its `PostProcess`."""
    x_c, y_c, w, h = boxes.T
    corners = np.stack((x_c - 0.5 * w, y_c - 0.5 * h, x_c + 0.5 * w, y_c + 0.5 * h), axis=-1)
    return corners * [layout.width, layout.height, layout.width, layout.height]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x.astype(np.float64))))


def detr(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """facebookresearch/detr `models/detr.py`, `PostProcess`: softmax without its last class."""
    boxes, logits = outputs
    exponents = np.exp(logits[0] - logits[0].max(-1, keepdims=True))
    prob = exponents / exponents.sum(-1, keepdims=True)
    return prob[:, :-1], box_cxcywh_to_xyxy(boxes[0], layout)


def detr_sigmoid(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """fundamentalvision/Deformable-DETR `models/deformable_detr.py`, `PostProcess`."""
    boxes, logits = outputs
    return sigmoid(logits[0]), box_cxcywh_to_xyxy(boxes[0], layout)


def rf_detr(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """roboflow/rf-detr `models/lwdetr.py`, `PostProcess`; `detr.py`, `class_names`: ids from 1."""
    boxes, logits = outputs
    prob = sigmoid(logits[0])
    unused = prob.shape[1] - layout.classes
    return prob[:, unused:], box_cxcywh_to_xyxy(boxes[0], layout)


def ultralytics(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """ultralytics `models/rtdetr/predict.py`, `postprocess`."""
    prediction = outputs[0][0]
    return prediction[:, 4:], box_cxcywh_to_xyxy(prediction[:, :4], layout)
