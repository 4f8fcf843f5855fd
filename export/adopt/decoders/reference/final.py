"""Detections that are final in the file, as scores of classes."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.row import Layout
from export.onnx.nodes import Array


def one_hot(scores: Array, labels: Array, classes: int) -> Array:
    """[K] each -> [K, C]; a label outside is none."""
    found = np.zeros((len(scores), classes), np.float32)
    for row, (score, label) in enumerate(zip(scores, labels, strict=True)):
        if 0 <= label < classes:
            found[row, int(label)] = score
    return found


def six_columns(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """THU-MIG/yolov10 `utils/ops.py`, ultralytics `engine/exporter.py` (NMSModel)."""
    rows = outputs[0][0]
    return one_hot(rows[:, 4], rows[:, 5].astype(int), layout.classes), rows[:, :4]
