"""Outputs that are detections already: suppressed by the file, or in no need of it."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.boxes import columns
from export.adopt.decoders.row import (
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Value,
    one_hot_scores,
    only_output,
)
from export.adopt.foreign import Foreign
from export.onnx.nodes import constants
from service.manifest import Floor

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
    return Match(
        match.outputs,
        match.classes,
        f"{match.why}, and the graph has a {SUPPRESSION}",
        floor=floor_of(file, rows=file.answers[match.outputs[0]].shape[1]),
    )


def _six_columns(file: Foreign) -> Match | None:
    """[1, K, 6] of left, top, right, bottom, score, class."""
    found = only_output(file, 3)
    if found is None:
        return None
    name, values = found
    if values.shape[2] != 6:
        return None
    scores, classes = values[0, :, 4], values[0, :, 5]
    whole = bool((classes == np.round(classes)).all() and (classes >= 0).all())
    if not whole or scores.min() < 0 or scores.max() > 1:
        return None
    names = file.fact("names")
    count = len(names) if isinstance(names, dict | list) else 0
    return Match(
        (name,),
        count,
        f"{name} is [1, {values.shape[1]}, 6], whose fifth column is in 0..1 and sixth whole"
        " numbers",
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


def six_columns(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    rows = outputs[0]
    labels = op.Cast(op.Squeeze(columns(op, rows, 5, 6), [-1]), to=7)
    scores = op.Squeeze(columns(op, rows, 4, 5), [-1])
    return Candidates(one_hot_scores(op, scores, labels, layout.classes), columns(op, rows, 0, 4))
