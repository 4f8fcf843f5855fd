"""Nearest upsampling of 8-bit feature maps by gathering rows and columns.

Over maps whose channels come last, as those in integers do, ONNX Runtime resizes number by number;
to take rows and columns copies whole ones, in a seventh of the time.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from export.onnx.nodes import (
    Array,
    add_constant,
    attributes,
    constants,
    drop_unused_nodes,
    insert_before,
    makers,
    readers,
)
from export.precision.first_layer import TO_NCHW, TO_NHWC

NEAREST = {"mode": b"nearest", "nearest_mode": b"floor"}
FIRST_OF_CELL = b"asymmetric"  # pixel x reads the place x divided by the scale


def repeat_by_index(model: onnx.ModelProto) -> None:
    """Replace each Resize between 8-bit maps of one scale by gathers of rows and columns, in place.

    A Resize of another mode is left alone, and one whose size varies.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim[2:]]
        for value in inferred.value_info
    }
    making, following, values = makers(model), readers(model), constants(model)
    for resize in [node for node in model.graph.node if node.op_type == "Resize"]:
        before, after = making.get(resize.input[0], resize), following[resize.output[0]]
        stated = {"coordinate_transformation_mode": b"half_pixel", **attributes(resize)}
        if (
            [before.op_type, *(n.op_type for n in after)] != ["DequantizeLinear", "QuantizeLinear"]
            or _scale(before, values) != _scale(after[0], values)
            or stated["coordinate_transformation_mode"] != FIRST_OF_CELL
            or any(stated.get(name) != value for name, value in NEAREST.items())
        ):
            continue
        old, new = sizes.get(resize.input[0], ()), sizes.get(resize.output[0], ())
        if len(old) != 2 or not all((*old, *new)):
            continue
        scales = values.get(resize.input[2]) if len(resize.input) > 2 else None
        if scales is not None and not np.allclose(scales[2:], np.divide(new, old), rtol=1e-6):
            continue
        name, quantize = resize.name, after[0]
        rows, columns = (
            add_constant(model, f"{name}.{axis}", np.arange(end) * start // end)
            for axis, start, end in zip(("rows", "columns"), old, new, strict=True)
        )
        nhwc, wide, high = (f"{name}.{step}" for step in ("nhwc", "wide", "high"))
        insert_before(
            model,
            quantize,
            helper.make_node("Transpose", [before.input[0]], [nhwc], nhwc, perm=TO_NHWC),
            helper.make_node("Gather", [nhwc, columns], [wide], wide, axis=2),
            helper.make_node("Gather", [wide, rows], [high], high, axis=1),
            helper.make_node("Transpose", [high], [quantize.output[0]], name, perm=TO_NCHW),
        )
        model.graph.node.remove(quantize)
        model.graph.node.remove(resize)
    drop_unused_nodes(model)


def _scale(node: onnx.NodeProto, values: Mapping[str, Array]) -> list[list[float]]:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear node."""
    return [values[name].ravel().tolist() for name in node.input[1:]]
