"""Final detections, as the repositories' own demos read them."""

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


def rt_detr(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """lyuwenyu/RT-DETR `rtdetrv2_pytorch/references/deploy/rtdetrv2_onnxruntime.py`: as it is."""
    boxes, scores, labels = (output[0] for output in outputs)
    return one_hot(scores, labels, layout.classes), boxes


def torchvision(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """torchvision `models/detection/roi_heads.py`, `retinanet.py`: boxes of the photo given."""
    boxes, scores, labels = outputs
    return one_hot(scores, labels - layout.settings["first"], layout.classes), boxes


def tf_detection(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """tensorflow/models `research/object_detection/utils/visualization_utils.py`: ymin, xmin, ymax,
    xmax in shares of the sides; `core/post_processing.py`, `exporter.py`: label_id_offset 1."""
    boxes, scores, labels = (output[0] for output in outputs)
    numbers = labels.astype(int) - layout.settings["first"]
    return one_hot(scores, numbers, layout.classes), _of_tensorflow(boxes, layout)


def tflite(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """tensorflow `lite/kernels/detection_postprocess.cc`: classes without the background."""
    boxes, scores, labels = (output[0] for output in outputs)
    return one_hot(scores, labels.astype(int), layout.classes), _of_tensorflow(boxes, layout)


def _of_tensorflow(boxes: Array, layout: Layout) -> Array:
    ymin, xmin, ymax, xmax = boxes.T
    width, height = layout.width, layout.height
    return np.stack((xmin * width, ymin * height, xmax * width, ymax * height), axis=1)


def yolov7(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """WongKinYiu/yolov7 `tools/YOLOv7onnx.ipynb`: batch_id, x0, y0, x1, y1, cls_id, score."""
    rows = outputs[0]
    return one_hot(rows[:, 6], rows[:, 5].astype(int), layout.classes), rows[:, 1:5]


def paddle(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """PaddleDetection `deploy/third_engine/onnx/infer.py`: class, score, xyxy."""
    rows = outputs[0]
    return one_hot(rows[:, 1], rows[:, 0].astype(int), layout.classes), rows[:, 2:]


def mmdeploy(outputs: Sequence[Array], layout: Layout) -> tuple[Array, Array]:
    """open-mmlab/mmdeploy `codebase/mmdet/deploy/object_detection_model.py`, End2EndModel."""
    dets, labels = outputs[0][0], outputs[1][0]
    return one_hot(dets[:, 4], labels, layout.classes), dets[:, :4]
