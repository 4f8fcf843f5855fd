"""Nodes that several decoders share: boxes in any format, and outputs that come apart."""

from collections.abc import Callable, Sequence

import numpy as np

from export.adopt.decoders.row import (
    Candidates,
    Layout,
    Op,
    Value,
    as_they_are,
    constant,
    one_hot_scores,
)
from export.onnx.nodes import Array

MOST_ROWS = 300  # that are kept of outputs whose number of detections differs from photo to photo
RELATIVE = 2.0  # no box in shares of the input reaches further; one in pixels does


def cxcywh_to_xyxy(op: Op, rows: Value, anchors: Value | None = None) -> Value:
    """Centre and size [N, k, 4] -> corners."""
    centre, size = op.Split(rows, [2, 2], axis=-1, _outputs=2)
    half = op.Mul(size, 0.5)
    return op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=-1)


def xywh_to_xyxy(op: Op, rows: Value) -> Value:
    """Corner and size -> corners."""
    corner, size = op.Split(rows, [2, 2], axis=-1, _outputs=2)
    return op.Concat(corner, op.Add(corner, size), axis=-1)


def yxyx_to_xyxy(op: Op, rows: Value) -> Value:
    return op.Gather(rows, [1, 0, 3, 2], axis=-1)


FORMATS: dict[str, Callable[[Op, Value], Value]] = {
    "xyxy": lambda op, rows: rows,
    "yxyx": yxyx_to_xyxy,
    "cxcywh": cxcywh_to_xyxy,
    "xywh": xywh_to_xyxy,
}


def columns(op: Op, values: Value, start: int, end: int) -> Value:
    """The last axis from ``start`` up to ``end``."""
    return op.Slice(values, [start], [end], [-1])


def are_relative(boxes: Array) -> bool:
    """Whether boxes are shares of the input's sides, not pixels."""
    return bool(np.abs(boxes).max(initial=0.0) <= RELATIVE)


def box_reader(layout: Layout) -> Callable[[Op, Value, Value | None], Value]:
    """What makes boxes of rows in the settings' ``box_format``, which are ``relative`` or not."""
    box_format, relative = layout.settings["box_format"], layout.settings["relative"]
    if box_format == "xyxy" and not relative:
        return as_they_are

    def to_boxes(op: Op, rows: Value, anchors: Value | None) -> Value:
        boxes = FORMATS[box_format](op, rows)
        sides = np.array([layout.width, layout.height] * 2, np.float32)
        return op.Mul(boxes, constant(op, sides, "boxes.sides")) if relative else boxes

    return to_boxes


def scored(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """Boxes [N, A, 4] and scores of all classes [N, A, C], as `class_scores` takes them."""
    boxes, scores = outputs
    return Candidates(class_scores(op, scores, layout), boxes, to_boxes=box_reader(layout))


def class_scores(op: Op, scores: Value, layout: Layout) -> Value:
    """Scores before their ``activation``, and with a ``background`` among the classes ("first" or
    "last"), if the settings say so."""
    activation, background = (layout.settings.get(key) for key in ("activation", "background"))
    if activation is not None:
        scores = op.Softmax(scores, axis=-1) if activation == "softmax" else op.Sigmoid(scores)
    if background is not None:
        start = int(background == "first")
        scores = columns(op, scores, start, start + layout.classes)
    return scores


def labelled(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """Boxes [N, K, 4], their scores [N, K], and their labels [N, K] in whole numbers of any type,
    which begin at ``first``."""
    boxes, scores, labels = outputs
    labels = op.Cast(labels, to=7)
    if layout.settings.get("varying"):
        scores, boxes, labels = best_rows(op, scores, boxes, labels)
    if first := layout.settings.get("first", 0):
        labels = op.Sub(labels, first)
    return Candidates(
        one_hot_scores(op, scores, labels, layout.classes), boxes, to_boxes=box_reader(layout)
    )


def best_rows(op: Op, scores: Value, boxes: Value, labels: Value) -> tuple[Value, Value, Value]:
    """The best `MOST_ROWS` of any number of rows; those that are missing score 0."""
    padded = op.Pad(scores, [0, 0, 0, MOST_ROWS])
    best, top = op.TopK(padded, [MOST_ROWS], _outputs=2)
    boxes = op.Pad(boxes, [0, 0, 0, 0, MOST_ROWS, 0])
    labels = op.Pad(labels, [0, 0, 0, MOST_ROWS])
    return (
        best,
        op.GatherND(boxes, op.Unsqueeze(top, [-1]), batch_dims=1),
        op.GatherElements(labels, top, axis=1),
    )
