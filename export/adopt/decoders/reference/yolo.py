"""YOLO's decoding after the network, as its repositories do it."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def xywh2xyxy(boxes: Array) -> Array:
    """Of ultralytics `utils/ops.py`."""
    x, y, w, h = boxes.T
    return np.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), axis=1)


def yolov8(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """ultralytics `utils/ops.py`, `non_max_suppression`: 4 + nc channels, no objectness."""
    prediction = outputs[0][0].T  # [A, 4 + C]
    return prediction[:, 4:], xywh2xyxy(prediction[:, :4])


def yolov5(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """ultralytics/yolov5 `utils/general.py`: conf = obj_conf * cls_conf."""
    prediction = outputs[0][0]
    return prediction[:, 5:] * prediction[:, 4:5], xywh2xyxy(prediction[:, :4])


def yolov7(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """WongKinYiu/yolov7 `utils/general.py`: with nc = 1 the class's score is not multiplied in."""
    scores, boxes = yolov5(outputs, layout)
    return (outputs[0][0][:, 4:5], boxes) if layout.classes == 1 else (scores, boxes)


def yolox(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """Megvii YOLOX `utils/demo_utils.py`, `demo_postprocess`, and the demo after it."""
    prediction = outputs[0][0].copy()
    grids, expanded_strides = [], []
    for stride in layout.settings["strides"]:
        height, width = -(-layout.height // stride), -(-layout.width // stride)
        xv, yv = np.meshgrid(np.arange(width), np.arange(height))
        grid = np.stack((xv, yv), 2).reshape(-1, 2)
        grids.append(grid)
        expanded_strides.append(np.full((len(grid), 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(expanded_strides)
    prediction[:, :2] = (prediction[:, :2] + grid) * stride
    with np.errstate(over="ignore"):  # an endless box is clipped
        prediction[:, 2:4] = np.exp(prediction[:, 2:4]) * stride
    return prediction[:, 5:] * prediction[:, 4:5], xywh2xyxy(prediction[:, :4])
