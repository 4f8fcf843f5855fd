"""Outputs of no family that is known, as the user describes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.adopt.decoders.boxes import FORMATS, MOST_ROWS, are_relative, labelled, scored
from export.adopt.decoders.final import floor_of
from export.adopt.decoders.row import Candidates, Given, Layout, Match, Op, Value, in_0_to_1
from export.adopt.foreign import Foreign
from export.adopt.safety import ForeignError
from export.onnx.nodes import Array

NAME = "generic"
HOW = (
    "name its tensors in this order: --outputs BOXES --outputs SCORES for boxes [1, A, 4] and"
    " scores [1, A, C], and --outputs LABELS after them for detections [K, 4], [K] and [K]"
)


def recognise(file: Foreign, given: Given) -> Match | None:
    """Only if the user asks for it: boxes and scores, or boxes, scores and labels, in that order;
    each with or without an axis for the batch."""
    if given.decoder != NAME:
        return None
    names = tuple(file.answers)
    if len(names) not in (2, 3):
        raise ForeignError(f"{file.path}: has the outputs {', '.join(names)}: {HOW}")
    rank = 2 if len(names) == 2 else 1
    batchless = frozenset(
        name
        for name, value, own in zip(names, file.answers.values(), (2, rank, rank), strict=False)
        if value.ndim == own
    )
    values = [value if n in batchless else value[0] for n, value in file.answers.items()]
    boxes, scores = values[:2]
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.ndim != rank or len(boxes) != len(scores):
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in file.answers.items())
        raise ForeignError(f"{file.path}: has the outputs {shapes}: {HOW}")
    settings = _settings(file, given, boxes)
    why = f"{', '.join(names)} are boxes, scores{', labels' if len(names) == 3 else ''}"
    if len(names) == 3:
        if settings["activation"] is not None:
            raise ForeignError(f"{file.path}: --activation says nothing of detections with labels")
        settings |= {"first": int(settings["background"] == "first"), "varying": True}
        floor = floor_of(file, MOST_ROWS)
        return Match(names, 0, why, settings, batchless, frozenset(names), floor)
    if settings["activation"] is None and not in_0_to_1(scores):
        raise ForeignError(
            f"{file.path}: scores in {names[1]} run from {scores.min():.3g} to {scores.max():.3g};"
            " pass --activation softmax or --activation sigmoid"
        )
    classes = scores.shape[1] - int(settings["background"] is not None)
    return Match(names, classes, why, settings, batchless)


def _settings(file: Foreign, given: Given, boxes: Array) -> dict[str, Any]:
    box_format = given.settings.get("box_format")
    if box_format is None:
        raise ForeignError(f"{file.path}: pass --box-format, one of {', '.join(FORMATS)}")
    units, background = (given.settings.get(key) for key in ("box_units", "background"))
    return {
        "box_format": box_format,
        "relative": are_relative(np.asarray(boxes)) if units is None else units == "relative",
        "activation": given.settings.get("activation"),
        "background": None if background == "none" else background,
    }


def graph(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    return (scored if len(outputs) == 2 else labelled)(op, outputs, layout)
