"""Graph transformations after tracing; none changes an answer beyond rounding.

Two run on onnxscript's in-memory model (`ir.Model`), where values know their readers; the others on
the protobuf (`onnx.ModelProto`), which `export.precision` reads back from files as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnxscript import ir, rewriter
from onnxscript.ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter.rules.common import (
    fuse_batchnorm_into_conv_rule,
    fuse_batchnorm_into_conv_transpose_rule,
)

from export.onnx.nodes import (
    Array,
    add_constant,
    attributes,
    constants,
    drop_unused_constants,
    drop_unused_nodes,
    makers,
    read_by,
    readers,
)

CONV_WEIGHT, CONV_BIAS = 1, 2  # positions among a Conv's inputs
RESIZE_SCALES, RESIZE_SIZES = 2, 3  # positions among a Resize's inputs
ROWS, COLUMNS = 2, 3  # axes of a feature map
TO_THE_END = 2**31 - 1  # as a Slice's end, or more
LOWEST = float(np.finfo(np.float32).min)


def fold_batch_norms(model: ir.Model) -> None:
    """Fold every batch norm of ``model`` that follows a convolution, in place: at inference both
    are linear.

    EfficientDet's heads share their convolutions among the pyramid's levels and normalise each
    level on its own (arXiv 1911.09070; google/automl), so each level gets its own copy of the
    convolution.
    """
    for node in model.graph:
        if node.op_type != "BatchNormalization":
            continue
        normed = node.inputs[0]
        before = None if normed is None else normed.producer()
        if before is not None and before.op_type == "Conv":
            _unshare(model.graph, before)
    rules = [fuse_batchnorm_into_conv_rule, fuse_batchnorm_into_conv_transpose_rule]
    rewriter.rewrite(model, rules)


def _unshare(graph: ir.Graph, conv: ir.Node) -> None:
    """Give ``conv`` weights that no other node reads."""
    for index in (CONV_WEIGHT, CONV_BIAS):
        shared = conv.inputs[index] if index < len(conv.inputs) else None
        if shared is None or len(shared.uses()) == 1:
            continue
        own = ir.Value(
            name=f"{shared.name}.{len(shared.uses())}",
            shape=shared.shape,
            type=shared.type,
            const_value=shared.const_value,
        )
        graph.register_initializer(own)
        conv.replace_input_with(index, own)


def resize_by_scale(model: ir.Model) -> None:
    """Give each Resize of ``model`` that enlarges a feature map of known sides by whole factors
    those factors as constants, in place.

    The exporter computes the target size at run time, as the batch size is only known then. ONNX
    Runtime keeps a feature map in its convolutions' blocked layout only through a Resize by
    constant scales.
    """
    for node in model.graph:
        if node.op_type != "Resize" or len(node.inputs) <= RESIZE_SIZES:
            continue
        before, after = _sides(node.inputs[0]), _sides(node.outputs[0])
        if node.inputs[RESIZE_SIZES] is None or not before or not after:
            continue
        if any(new % old for old, new in zip(before, after, strict=True)):
            continue
        scales = [1, 1, *(new / old for old, new in zip(before, after, strict=True))]
        tensor = ir.tensor(np.array(scales, np.float32), name=f"{node.outputs[0].name}.scales")
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape([4]),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        model.graph.register_initializer(value)
        node.replace_input_with(RESIZE_SCALES, value)
        node.resize_inputs(RESIZE_SIZES)
    RemoveUnusedNodesPass()(model)


def _sides(feature_map: ir.Value | None) -> list[int]:
    """Height and width of a feature map [N, C, H, W]; empty if one is not known."""
    if feature_map is None or feature_map.shape is None or len(feature_map.shape) != 4:
        return []
    sides = [side for side in feature_map.shape[2:] if isinstance(side, int)]
    return sides if len(sides) == 2 else []


def fold_pads(model: onnx.ModelProto) -> None:
    """Merge a Pad with the lowest float32 into the MaxPool that follows it, in place.

    ONNX Runtime has no Pad in its convolutions' blocked layout, so a Pad costs two conversions.
    """
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


def fold_focus(model: onnx.ModelProto) -> None:
    """Let a convolution of a Focus read the picture itself, in place: with kernels of twice the
    size, two pixels a step, it computes the same.

    YOLOX and the first releases of YOLOv5 begin with it: every second pixel of every second row, at
    four places, joined as channels. Its strided copies take a twentieth of YOLOX-Nano's time.
    """
    making, values, following = makers(model), constants(model), readers(model)
    for concat in [node for node in model.graph.node if node.op_type == "Concat"]:
        after = following[concat.output[0]]
        places = [_sampled(name, making, values) for name in concat.input]
        sources = {place[0] if place else None for place in places}
        source = sources.pop()
        joined = attributes(concat)["axis"] == 1 and [node.op_type for node in after] == ["Conv"]
        if source is None or sources or not joined:
            continue
        conv, stated = after[0], attributes(after[0])
        weight = values.get(conv.input[CONV_WEIGHT])
        moves = {*stated.get("strides", [1]), *stated.get("dilations", [1]), stated.get("group", 1)}
        if weight is None or moves != {1} or stated.get("auto_pad", b"NOTSET") != b"NOTSET":
            continue
        output, _, height, width = weight.shape
        parts = weight.reshape(output, len(places), -1, height, width)
        kernels = np.zeros((output, parts.shape[2], 2 * height, 2 * width), weight.dtype)
        for number, (_, row, column) in enumerate(filter(None, places)):
            kernels[:, :, row::2, column::2] += parts[:, number]
        pads = [2 * pad for pad in stated.get("pads", [0] * 4)]
        changed = {"kernel_shape": kernels.shape[2:], "strides": [2, 2], "pads": pads}
        kept = [attribute for attribute in conv.attribute if attribute.name not in changed]
        del conv.attribute[:]
        conv.attribute.extend(kept)
        conv.attribute.extend(helper.make_attribute(*pair) for pair in changed.items())
        conv.input[0] = source
        conv.input[CONV_WEIGHT] = add_constant(model, f"{conv.input[CONV_WEIGHT]}.focus", kernels)
    drop_unused_nodes(model)


def _sampled(
    name: str, making: Mapping[str, onnx.NodeProto], values: Mapping[str, Array]
) -> tuple[str, int, int] | None:
    """Of a value that is every second pixel of every second row of another: that one's name, the
    first row, 0 or 1, and the first column."""
    first: dict[int, int] = {}
    while (node := making.get(name)) is not None and node.op_type == "Slice" and len(first) < 2:
        if len(node.input) < 5 or any(one not in values for one in node.input[1:5]):
            return None
        for start, end, axis, step in zip(*(values[one] for one in node.input[1:5]), strict=True):
            if step != 2 or start not in (0, 1) or end < TO_THE_END or axis in first:
                return None
            first[int(axis)] = int(start)
        name = node.input[0]
    return (name, first[ROWS], first[COLUMNS]) if first.keys() == {ROWS, COLUMNS} else None


def move_weights_into_scans(model: onnx.ModelProto) -> None:
    """Move the constants that only a Scan's body reads into it, in place.

    ONNX Runtime lays weights out for the processor only in the graph that they are in: its layers
    then take half the time.
    """
    graph = model.graph
    for scan in [node for node in graph.node if node.op_type == "Scan"]:
        (body,) = (attribute.g for attribute in scan.attribute if attribute.name == "body")
        inside = {name for node in body.node for name in read_by(node)}
        others = (name for node in graph.node if node is not scan for name in read_by(node))
        inside.difference_update(others, scan.input)
        body.initializer.extend(t for t in graph.initializer if t.name in inside)
        kept = [tensor for tensor in graph.initializer if tensor.name not in inside]
        del graph.initializer[:]
        graph.initializer.extend(kept)


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on the source code, in place: they triple the file's size and
    hold paths of this machine."""
    graph = model.graph
    holders: list[Any] = [model, graph, *graph.node, *graph.value_info]
    for holder in (*holders, *graph.input, *graph.output, *graph.initializer):
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")


def name_output_axes(model: onnx.ModelProto, name: str) -> None:
    """Call every dynamic axis of the outputs after the first ``name``, in place of PyTorch's
    "u0"."""
    for output in model.graph.output:
        for dimension in output.type.tensor_type.shape.dim[1:]:
            if dimension.dim_param:
                dimension.dim_param = name
