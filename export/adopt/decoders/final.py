"""Outputs that are detections already: suppressed by the file, or in no need of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from export.adopt.decoders.boxes import MOST_ROWS, columns, labelled
from export.adopt.decoders.row import (
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Value,
    in_0_to_1,
    only_output,
)
from export.adopt.foreign import Foreign
from export.onnx.nodes import Array, constants
from service.manifest import Floor

PIXELS = {"box_format": "xyxy", "relative": False}
TENSORFLOW = {"box_format": "yxyx", "relative": True}
BACKGROUND = ("background", "__background__")  # as label files call it
TFLITE = "TFLite_Detection_PostProcess"
SUPPRESSION = "NonMaxSuppression"


def recognise_end_to_end(file: Foreign, given: Given) -> Match | None:
    """YOLOv10 and YOLO26: no suppression in the graph, and none needed."""
    match = _six_columns(file)
    return None if match is None or _suppresses(file) else match


def recognise_suppressed(file: Foreign, given: Given) -> Match | None:
    """Ultralytics' export with nms=True."""
    match = _six_columns(file)
    if match is None or not _suppresses(file):
        return None
    floor = floor_of(file, file.answers[match.outputs[0]].shape[1])
    return replace(match, why=f"{match.why}, and the graph has a {SUPPRESSION}", floor=floor)


def _six_columns(file: Foreign) -> Match | None:
    """[1, K, 6] of left, top, right, bottom, score, class."""
    found = only_output(file, 3)
    if found is None:
        return None
    name, values = found
    if values.shape[2] != 6 or not in_0_to_1(values[..., 4]) or not _whole(values[..., 5]):
        return None
    names = file.fact("names")
    return Match(
        (name,),
        len(names) if isinstance(names, dict | list) else 0,
        f"{name} is [1, {values.shape[1]}, 6], whose fifth column is in 0..1 and sixth whole"
        " numbers",
        PIXELS,
    )


def recognise_rt_detr(file: Foreign, given: Given) -> Match | None:
    """``labels``, ``boxes`` and ``scores`` [1, Q, …], scaled by the input ``orig_target_sizes``."""
    names = ("boxes", "scores", "labels")
    if set(file.answers) != set(names) or "orig_target_sizes" not in file.extras:
        return None
    if not _are_detections(*(file.answers[name] for name in names)):
        return None
    why = f"outputs are {', '.join(names)}, and an input is orig_target_sizes"
    return Match(names, 0, why, PIXELS)


def recognise_torchvision(file: Foreign, given: Given) -> Match | None:
    """Boxes [D, 4], and scores and labels [D], by their shapes and types: names are anyone's, and
    R-CNNs put the labels before the scores."""
    rows = {value.shape[:1] for value in file.answers.values()}
    if len(file.answers) != 3 or len(rows) != 1:
        return None
    kinds = {(value.shape[1:], value.dtype.kind): name for name, value in file.answers.items()}
    if set(kinds) != {((4,), "f"), ((), "f"), ((), "i")}:
        return None
    names = kinds[(4,), "f"], kinds[(), "f"], kinds[(), "i"]
    softmax = any(node.op_type == "Softmax" for node in file.model.graph.node)
    first = _first(given, "first" if softmax else "none")
    return Match(
        names,
        0,
        f"{names[0]} is [D, 4], and {names[1]} and {names[2]} [D], of one photo; "
        f"{'a softmax: label 0 is the background' if softmax else 'no softmax: no background'}",
        {**PIXELS, "first": first, "varying": True},
        batchless=frozenset(names),
        varying=frozenset(names),
        floor=floor_of(file, MOST_ROWS),
    )


def recognise_tf_detection(file: Foreign, given: Given) -> Match | None:
    """TensorFlow Object Detection API, by its names, which tf2onnx may end in ":0"."""
    plain = {name.partition(":")[0]: name for name in file.answers}
    parts = ("detection_boxes", "detection_scores", "detection_classes")
    if not set(parts) <= set(plain):
        return None
    names = tuple(plain[part] for part in parts)
    if not _are_detections(*(file.answers[name] for name in names)):
        return None
    return Match(
        names,
        0,
        f"outputs are {', '.join(parts)}; their classes begin at 1",
        {**TENSORFLOW, "first": _first(given, "first")},
        floor=floor_of(file, file.answers[names[0]].shape[1]),
    )


def recognise_tflite(file: Foreign, given: Given) -> Match | None:
    """Four outputs: boxes [1, K, 4], labels and scores [1, K], and their number [1]. Names tell
    which are the scores, or whole numbers do."""
    values = file.answers
    boxes = [name for name, value in values.items() if value.ndim == 3 and value.shape[2] == 4]
    counts = [name for name, value in values.items() if value.shape == (1,)]
    if len(values) != 4 or len(boxes) != 1 or len(counts) != 1:
        return None
    if boxes[0].startswith("detection_"):
        return None
    rows = values[boxes[0]].shape[:2]
    pair = [name for name, value in values.items() if value.shape == rows]
    found = _scores_and_labels(pair, values)
    if found is None:
        return None
    return Match(
        (boxes[0], *found),
        0,
        f"{boxes[0]} is [1, {rows[1]}, 4], {found[0]} in 0..1, {found[1]} whole numbers, and"
        f" {counts[0]} their number: {TFLITE}",
        TENSORFLOW,
        floor=floor_of(file, rows[1]),
    )


def _scores_and_labels(pair: Sequence[str], values: Mapping[str, Array]) -> tuple[str, str] | None:
    if len(pair) != 2:
        return None
    by_name = {f"{TFLITE}:2": 0, f"{TFLITE}:1": 1}
    if set(pair) == set(by_name):
        scores, labels = sorted(pair, key=by_name.__getitem__)
        return scores, labels
    told = [name for name in pair if not _whole(values[name]) and in_0_to_1(values[name])]
    rest = [name for name in pair if name not in told and _whole(values[name])]
    return (told[0], rest[0]) if len(told) == len(rest) == 1 else None


def recognise_yolov7(file: Foreign, given: Given) -> Match | None:
    """[D, 7] of photo, left, top, right, bottom, class, score."""
    if len(file.answers) != 1:
        return None
    ((name, rows),) = file.answers.items()
    if rows.ndim != 2 or rows.shape[1] != 7 or rows.dtype != np.float32 or rows[:, 0].any():
        return None
    if not len(rows) or not _whole(rows[:, 5]) or not in_0_to_1(rows[:, 6]):
        return None
    return Match(
        (name,),
        0,
        f"{name} is [D, 7], whose sixth column is whole numbers and seventh in 0..1",
        {**PIXELS, "varying": True},
        batchless=frozenset((name,)),
        varying=frozenset((name,)),
        floor=floor_of(file, MOST_ROWS),
    )


def recognise_paddle(file: Foreign, given: Given) -> Match | None:
    """[D, 6] of class, score, left, top, right, bottom, and their number, int32 [1]."""
    pairs = {(value.ndim, value.dtype.kind): name for name, value in file.answers.items()}
    if len(file.answers) != 2 or set(pairs) != {(2, "f"), (1, "i")}:
        return None
    name, number = pairs[2, "f"], pairs[1, "i"]
    rows = file.answers[name]
    if rows.shape[1] != 6 or file.answers[number].shape != (1,):
        return None
    if not _whole(rows[:, 0]) or not in_0_to_1(rows[rows[:, 0] >= 0, 1]):
        return None
    return Match(
        (name,),
        0,
        f"{name} is [D, 6], whose first column is whole numbers and second in 0..1, and {number}"
        " their number",
        {**PIXELS, "varying": True},
        batchless=frozenset((name,)),
        varying=frozenset((name,)),
        floor=floor_of(file, MOST_ROWS),
    )


def recognise_mmdeploy(file: Foreign, given: Given) -> Match | None:
    """``dets`` [1, K, 5] and ``labels`` [1, K] in whole numbers."""
    names = ("dets", "labels")
    if not set(names) <= set(file.answers):
        return None
    dets, labels = (file.answers[name] for name in names)
    if dets.ndim != 3 or dets.shape[2] != 5 or labels.shape != dets.shape[:2]:
        return None
    if labels.dtype.kind != "i":
        return None
    return Match(
        names,
        0,
        "dets is [1, K, 5], whose fifth column is the score, and labels [1, K]",
        {**PIXELS, "varying": True},
        varying=frozenset(names),
        floor=floor_of(file, MOST_ROWS),
    )


def _suppresses(file: Foreign) -> bool:
    return any(node.op_type == SUPPRESSION for node in file.model.graph.node)


def floor_of(file: Foreign, rows: int) -> Floor:
    """What the file's own suppression leaves: its thresholds, where they are constants, and as
    many ``rows``."""
    values = constants(file.model)
    found = {}
    for node in file.model.graph.node:
        if node.op_type == SUPPRESSION:
            for place, field in ((3, "iou_threshold"), (4, "score_threshold")):
                if len(node.input) > place and node.input[place] in values:
                    found[field] = float(values[node.input[place]].reshape(-1)[0])
    return Floor(max_detections=rows, **found)


def _are_detections(boxes: Array, scores: Array, labels: Array) -> bool:
    """[1, K, 4], [1, K] and [1, K] of whole numbers."""
    return (
        boxes.ndim == 3
        and boxes.shape[2] == 4
        and boxes.shape[:2] == scores.shape == labels.shape
        and in_0_to_1(scores)
        and _whole(labels)
    )


def _whole(values: Array) -> bool:
    return bool((values == np.round(values)).all())


def _first(given: Given, usual: str) -> int:
    """The number of the first label: 1 where 0 is the background, unless the labels name that."""
    if given.labels and given.labels[0].name.lower() in BACKGROUND:
        return 0
    return int(given.settings.get("background", usual) == "first")


def six_columns(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    rows = outputs[0]  # [N, K, 6]
    scores, labels = (op.Squeeze(columns(op, rows, i, i + 1), [-1]) for i in (4, 5))
    return labelled(op, [columns(op, rows, 0, 4), scores, labels], layout)


def yolov7(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    rows = outputs[0]  # [N, D, 7]
    labels, scores = (op.Squeeze(columns(op, rows, i, i + 1), [-1]) for i in (5, 6))
    return labelled(op, [columns(op, rows, 1, 5), scores, labels], layout)


def paddle(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    rows = outputs[0]  # [N, D, 6]
    labels, scores = (op.Squeeze(columns(op, rows, i, i + 1), [-1]) for i in range(2))
    return labelled(op, [columns(op, rows, 2, 6), scores, labels], layout)


def mmdeploy(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    dets, labels = outputs
    scores = op.Squeeze(columns(op, dets, 4, 5), [-1])
    return labelled(op, [columns(op, dets, 0, 4), scores, labels], layout)
