"""Files that end in a TensorRT plug-in for suppression: cut at its inputs, boxes and scores."""

from collections.abc import Sequence
from typing import Any

import onnx

from export.adopt.decoders.boxes import are_relative, box_reader, class_scores, scored
from export.adopt.decoders.row import (
    Candidates,
    Given,
    Layout,
    Match,
    Op,
    Value,
    one_hot_scores,
)
from export.adopt.foreign import Foreign
from export.adopt.safety import ForeignError
from export.onnx.nodes import attributes
from models.postprocess import MAX_CANDIDATES

PLUGINS = ("EfficientNMS_TRT", "BatchedNMS_TRT", "BatchedNMSDynamic_TRT")
CODINGS = ("xyxy", "cxcywh")  # by `box_coding`


def recognise(file: Foreign, given: Given) -> Match | None:
    """Boxes [1, A, 4], or of each class [1, A, C, 4], and scores [1, A, C]."""
    if len(file.ends) != 1 or file.ends[0].op_type not in PLUGINS:
        return None
    (node,) = file.ends
    names = tuple(name for name in node.input if name)
    if len(names) != 2:
        raise ForeignError(
            f"{file.path}: its {node.op_type} decodes boxes itself, of {len(names)} inputs; export"
            " it with decoded boxes"
        )
    boxes, scores = (file.answers.get(name) for name in names)
    if boxes is None or scores is None or boxes.shape[:2] != scores.shape[:2] or scores.ndim != 3:
        return None
    channels = scores.shape[2]
    if boxes.shape[2:] not in ((4,), (1, 4), (channels, 4)):
        return None
    relative = are_relative(boxes)
    settings = {**_settings(file, node, channels), "relative": relative}
    if boxes.ndim == 4 and channels > 1 and boxes.shape[2] > 1:
        settings["pairs"] = channels * boxes.shape[1]
    return Match(
        names,
        channels - int(settings["background"] is not None),
        f"ends in {node.op_type}, cut at its inputs {names[0]} {list(boxes.shape)}"
        f" ({'relative' if relative else 'pixels'}) and {names[1]} {list(scores.shape)}",
        settings,
    )


def _settings(file: Foreign, node: onnx.NodeProto, channels: int) -> dict[str, Any]:
    stated = attributes(node)
    background = int(stated.get("background_class", stated.get("backgroundLabelId", -1)))
    places = {-1: None, 0: "first", channels - 1: "last"}
    if background not in places:
        raise ForeignError(
            f"{file.path}: its {node.op_type} has class {background} of {channels} as background"
        )
    return {
        "box_format": CODINGS[int(stated.get("box_coding", 0))],
        "activation": "sigmoid" if stated.get("score_activation") else None,
        "background": places[background],
    }


def graph(op: Op, outputs: Sequence[Value], layout: Layout) -> Candidates:
    boxes, scores = outputs
    if "pairs" not in layout.settings:
        return scored(op, [op.Reshape(boxes, [0, -1, 4]), scores], layout)
    # a box for each class: the best pairs of place and class
    if layout.settings["background"] is not None:
        start = int(layout.settings["background"] == "first")
        boxes = op.Slice(boxes, [start], [start + layout.classes], [2])
    flat = op.Reshape(class_scores(op, scores, layout), [0, -1])
    count = min(MAX_CANDIDATES, layout.settings["pairs"])
    best, index = op.TopK(flat, [count], _outputs=2)
    labels = op.Mod(index, layout.classes)
    rows = op.GatherND(op.Reshape(boxes, [0, -1, 4]), op.Unsqueeze(index, [-1]), batch_dims=1)
    best = one_hot_scores(op, best, labels, layout.classes)
    return Candidates(best, rows, to_boxes=box_reader(layout))
