"""Pads before a max pooling as its own: ONNX Runtime has no form of a Pad in blocks of channels."""

import numpy as np
import onnx
from onnx import helper

from export.precision.nodes import constants, drop_unused_constants, readers

LOWEST = float(np.finfo(np.float32).min)


def fold_pads(model: onnx.ModelProto) -> None:
    """Pad with the lowest number, then MaxPool: one MaxPool with pads, in place."""
    graph, values = model.graph, constants(model)
    following = readers(model)
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        after = following[pad.output[0]]
        value = values.get(pad.input[2]) if len(pad.input) > 2 else None
        if len(after) != 1 or after[0].op_type != "MaxPool" or value is None or value > LOWEST:
            continue
        pads = values[pad.input[1]].reshape(2, -1)  # [before, after] of each axis
        if pads[:, :2].any() or (pads < 0).any():
            continue
        pool = after[0]
        old = next((a for a in pool.attribute if a.name == "pads"), None)
        own = np.array(old.ints) if old is not None else np.zeros(4, dtype=np.int64)
        if old is not None:
            pool.attribute.remove(old)
        pool.attribute.append(helper.make_attribute("pads", (own + pads[:, 2:].ravel()).tolist()))
        pool.input[0] = pad.input[0]
        graph.node.remove(pad)
    drop_unused_constants(model)
