"""DETR and its kin: a set of queries, each a box and scores; nothing is suppressed."""

from collections.abc import Sequence

import numpy as np

from export.adopt.decoders.boxes import box_reader, columns
from export.adopt.decoders.row import (
    IMAGENET,
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Told,
    Value,
    in_0_to_1,
    only_output,
)
from export.adopt.foreign import Foreign
from export.adopt.safety import ForeignError
from export.onnx.nodes import Array
from export.settings import Settings

NAMES = (("pred_boxes", "pred_logits"), ("pred_boxes", "logits"))  # DETR's own; transformers'
CENTRED = {"box_format": "cxcywh", "relative": True}
# The encoder of RT-DETR and D-FINE, by its modules' names, reads pixels of 0 to 1.
HYBRID_ENCODER = "fpn_blocks"
SIGMOID_OR_SOFTMAX = (
    "{path}: its logits have {channels} channels: {channels} classes (sigmoid), or {fewer} and"
    " no-object (softmax); the labels are {labels}"
)


def recognise_softmax(file: Foreign, given: Given) -> Match | None:
    """DETR, YOLOS, Table Transformer: the last class is no-object."""
    return _logits(file, given, "softmax")


def recognise_sigmoid(file: Foreign, given: Given) -> Match | None:
    """Conditional and Deformable DETR, RT-DETR and D-FINE from transformers."""
    return _logits(file, given, "sigmoid")


def _logits(file: Foreign, given: Given, activation: str) -> Match | None:
    """Logits [1, Q, C] or [1, Q, C + 1] and boxes [1, Q, 4]. Which of the two they are, only the
    number of labels tells."""
    for names in NAMES:
        if not set(names) <= set(file.answers):
            continue
        boxes, logits = (file.answers[name] for name in names)
        if not _are_queries(boxes, logits) or not in_0_to_1(boxes):
            return None
        channels = logits.shape[2]
        settings = {**CENTRED, "activation": activation}
        if activation == "softmax":
            settings["background"] = "last"
        match = Match(
            names,
            channels - int(activation == "softmax"),
            f"{names[1]} is {list(logits.shape)} and {names[0]} {list(boxes.shape)}, in 0..1",
            settings,
        )
        return match if _is_asked(file, given, match, channels) else None
    return None


def _is_asked(file: Foreign, given: Given, match: Match, channels: int) -> bool:
    """Whether what is given goes with the match's activation."""
    asked = given.settings.get("activation")
    if given.decoder is not None or asked is not None:
        return asked in (None, match.settings["activation"])
    if given.labels is None:
        return True
    labels = len(given.labels)
    if labels not in (channels, channels - 1):
        raise ForeignError(
            SIGMOID_OR_SOFTMAX.format(
                path=file.path, channels=channels, fewer=channels - 1, labels=labels
            )
        )
    return labels == match.classes


def recognise_rf_detr(file: Foreign, given: Given) -> Match | None:
    """``dets`` [1, Q, 4] and ``labels`` [1, Q, C], logits: not mmdeploy's outputs of these names,
    which are [1, K, 5] and whole numbers. Ids of COCO and of trained data sets begin at 1."""
    names = ("dets", "labels")
    if set(file.answers) != set(names):
        return None
    boxes, logits = (file.answers[name] for name in names)
    if not _are_queries(boxes, logits):
        return None
    channels = logits.shape[2]
    unused = given.labels is not None and len(given.labels) == channels - 1
    return Match(
        names,
        channels - int(unused),
        f"dets is {list(boxes.shape)} and labels {list(logits.shape)}, logits",
        {**CENTRED, "activation": "sigmoid", "background": "first" if unused else None},
    )


def recognise_ultralytics(file: Foreign, given: Given) -> Match | None:
    """[1, Q, 4 + C], all in 0..1: as many classes as the file's metadata, or the user, names."""
    found = only_output(file, 3)
    if found is None or given.labels is None:
        return None
    name, values = found
    classes = len(given.labels)
    if values.shape[2] != 4 + classes or not in_0_to_1(values):
        return None
    return Match(
        (name,),
        classes,
        f"{name} is [1, {values.shape[1]}, 4 + {classes}], boxes and scores in 0..1",
        CENTRED,
    )


def _are_queries(boxes: Array, logits: Array) -> bool:
    """Whether boxes are [1, Q, 4], and logits [1, Q, C] of as many."""
    return (
        boxes.ndim == logits.ndim == 3
        and boxes.shape == (*logits.shape[:2], 4)
        and boxes.dtype == logits.dtype == np.float32
    )


def preprocessing(file: Foreign) -> Told:
    """ImageNet's normalisation, unless the encoder is RT-DETR's, which has none."""
    if any(HYBRID_ENCODER in name for node in file.model.graph.node for name in node.output):
        why = f"values are called {HYBRID_ENCODER}, RT-DETR's and D-FINE's encoder: no mean"
        return Told(Settings(), {"normalisation": why})
    return Told(IMAGENET)


def joined(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    """[N, Q, 4 + C]: relative cxcywh, then the classes' scores."""
    rows = outputs[0]
    scores = columns(op, rows, 4, 4 + layout.classes)
    return Candidates(scores, columns(op, rows, 0, 4), to_boxes=box_reader(layout))
