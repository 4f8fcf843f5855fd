"""A batch of one, made any: by rewriting what fixes it, where each photo then keeps its answer."""

from collections.abc import Collection
from typing import Literal

import numpy as np
import onnx
from onnx import helper

from export.adopt.decoders.row import Match
from export.adopt.foreign import DTYPES, Foreign
from export.onnx.nodes import (
    Array,
    add_constant,
    attributes,
    constants,
    copied,
    insert_before,
    makers,
    readers,
)
from export.parity.model import open_quietly
from service.runtime.graph_facts import precision_of

Batching = Literal["dynamic", "rewritten", "scan"]
SIZES = (1, 2, 7)  # that a batch is tried at
TOLERANCE = 1e-4  # of the greatest value of an output
COARSE_TOLERANCE = 0.01  # the same, where the graph rounds as it runs, or computes in float16
ROUNDS = ("QuantizeLinear", "DynamicQuantizeLinear")
BATCH = "N"
RESIZE_SIZES = 3  # position among a Resize's inputs
# What an output without an axis for the batch may have passed since it lost it.
KEEPS_AXES = ("Identity", "Sigmoid", "Cast", "Transpose", "Exp", "Relu", "Clip")
LOSES_AXIS = ("Reshape", "Squeeze")


def batched(file: Foreign, match: Match) -> tuple[onnx.ModelProto, Batching]:
    """The file's graph for any batch, and how it came by that. With "scan" it is the graph for one
    photo, as nothing made its answers independent of the batch."""
    ways: tuple[Batching, ...] = ("dynamic", "rewritten")
    for way in ways[file.image.shape[0] == 1 or bool(match.batchless) :]:
        model = copied(file.model)
        _each_photo_its_range(model)
        if way == "rewritten":
            free_batch(model, file.image.name, match.batchless)
        if answers_alone(model, file, match):
            return model, way
    return file.model, "scan"


def free_batch(model: onnx.ModelProto, image: str, batchless: Collection[str] = ()) -> None:
    """Rewrite what fixes a batch of one, in place: the first side in constant shapes of Reshape and
    sizes of Resize, constants that are joined to values of each photo, and the axis that outputs in
    ``batchless`` lack."""
    for value in model.graph.input:
        dimension = value.type.tensor_type.shape.dim[0]
        dimension.ClearField("dim_value")
        dimension.dim_param = BATCH
    for output in model.graph.output:
        kind = output.type.tensor_type.elem_type
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, None))
    values, varying = constants(model), _following(model, image)
    for name in batchless:
        _give_axis(model, name, values)
    for node in list(model.graph.node):
        if node.op_type == "Reshape" and node.input[0] in varying and node.input[1] in values:
            _replace_input(model, node, 1, _freed(values[node.input[1]]))
        elif node.op_type == "Resize" and len(node.input) > RESIZE_SIZES:
            sizes = values.get(node.input[RESIZE_SIZES])
            if sizes is not None and sizes.size == 4:
                _replace_input(model, node, RESIZE_SIZES, sizes[2:])
                node.attribute.append(helper.make_attribute("axes", [2, 3]))
        elif node.op_type == "Concat" and varying.intersection(node.input):
            _expand_constants(model, node, image, values)


def _freed(shape: Array) -> Array:
    """A Reshape's constant shape, its first side that of any batch: what is left, such as the
    windows of all photos; or as many as come in, where another side is what is left."""
    if shape.size and (shape > 0).all():
        return np.array([-1, *shape[1:]])
    return np.array([0, *shape[1:]]) if shape.size and shape[0] == 1 else shape


def answers_alone(model: onnx.ModelProto, file: Foreign, match: Match) -> bool:
    """Whether each photo has in batches of `SIZES` the answer that it has alone in the untouched
    file."""
    coarse = rounds(model) or precision_of(model) == "fp16"
    tolerance = COARSE_TOLERANCE if coarse else TOLERANCE
    try:
        session = open_quietly(model)
        photos = _photos(file, max(SIZES))
        alone = [file.run(photo[None]) for photo in photos]
        for size in SIZES:
            feeds = {file.image.name: photos[:size]}
            for name, extra in file.extras.items():
                feeds[name] = np.repeat(extra, size, axis=0)
            together = session.run(list(match.outputs), feeds)
            for name, values in zip(match.outputs, together, strict=True):
                for row in range(size):
                    expected = alone[row][name]
                    if name not in match.batchless:
                        expected = expected[0]
                    if len(values) != size or not _alike(values[row], expected, tolerance):
                        return False
    except Exception:  # ONNX Runtime's exceptions have no common base of their own
        return False
    return True


def rounds(model: onnx.ModelProto) -> bool:
    """Whether the graph rounds values to 256 steps as it runs."""
    return any(node.op_type in ROUNDS for node in model.graph.node)


def _photos(file: Foreign, count: int) -> Array:
    """Images that differ, as the file reads them: noise on a ground that changes."""
    generator = np.random.default_rng(1)
    shape = (count, file.height, file.width, 3)
    grounds = np.linspace(0, 192, count).reshape(-1, 1, 1, 1)
    pixels = generator.integers(0, 64, shape) + grounds
    dtype = DTYPES[file.image.dtype]
    values = pixels.astype(np.uint8) if dtype == np.uint8 else (pixels / 255).astype(dtype)
    return values if file.layout == "nhwc" else np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _alike(actual: Array, expected: Array, tolerance: float) -> bool:
    if actual.shape != expected.shape:
        return False
    if not np.issubdtype(expected.dtype, np.floating):
        # of 8 bits a step, as rounding may go either way
        return bool((np.abs(actual.astype(np.int64) - expected.astype(np.int64)) <= 1).all())
    allowed = tolerance * max(1.0, float(np.abs(expected).max(initial=0)))
    return bool((np.abs(actual - expected) <= allowed).all())


def _following(model: onnx.ModelProto, image: str) -> set[str]:
    """The values that depend on the image, other than through its shape."""
    found = {image}
    for node in model.graph.node:
        if node.op_type not in ("Shape", "Size") and found.intersection(node.input):
            found.update(node.output)
    return found


def _replace_input(model: onnx.ModelProto, node: onnx.NodeProto, place: int, value: Array) -> None:
    name = f"{node.output[0]}.input.{place}"
    node.input[place] = add_constant(model, name, value.astype(np.int64))


def _expand_constants(
    model: onnx.ModelProto, node: onnx.NodeProto, image: str, values: dict[str, Array]
) -> None:
    """Repeat the constants that ``node`` joins for each photo."""
    for place, name in enumerate(node.input):
        value = values.get(name)
        if value is None or value.ndim < 2 or value.shape[0] != 1:
            continue
        base = f"{node.output[0]}.{place}"
        ones = add_constant(model, f"{base}.ones", np.ones(value.ndim - 1, np.int64))
        batch, shape, expanded = f"{base}.batch", f"{base}.shape", f"{base}.expanded"
        insert_before(
            model,
            node,
            helper.make_node("Shape", [image], [batch], batch, start=0, end=1),
            helper.make_node("Concat", [batch, ones], [shape], shape, axis=0),
            helper.make_node("Expand", [name, shape], [expanded], expanded),
        )
        node.input[place] = expanded


def _give_axis(model: onnx.ModelProto, output: str, values: dict[str, Array]) -> None:
    """Keep the batch's axis where ``output`` lost it: at the Reshape or Squeeze before it."""
    making, name = makers(model), output
    passed = []
    while (node := making.get(name)) is not None and node.op_type in KEEPS_AXES:
        passed.append(node)
        name = node.input[0]
    if node is None or node.op_type not in LOSES_AXIS:
        return  # the trial of the batch tells
    if node.op_type == "Squeeze":
        node.op_type = "Identity"
        del node.input[1:], node.attribute[:]
    elif node.input[1] in values:
        _replace_input(model, node, 1, np.concatenate(([0], values[node.input[1]])))
    for later in passed:
        for attribute in later.attribute:
            if attribute.name == "perm":
                perm = [0, *(axis + 1 for axis in attribute.ints)]
                attribute.CopyFrom(helper.make_attribute("perm", perm))


def _each_photo_its_range(model: onnx.ModelProto) -> None:
    """Let DynamicQuantizeLinear, whose range is that of all that it reads, find one for each photo,
    in place: as the file does at a batch of one. Of each only where it is dequantised at once."""
    following, values = readers(model), constants(model)
    for node in [n for n in model.graph.node if n.op_type == "DynamicQuantizeLinear"]:
        after = following[node.output[0]]
        if node.input[0] in values or any(n.op_type != "DequantizeLinear" for n in after):
            continue
        rounded = f"{node.output[0]}.by_photo"
        insert_before(model, node, _rounded_by_photo(node.input[0], rounded))
        for other in after:
            for layer in following[other.output[0]]:
                _dequantise_weights(model, layer)
            other.op_type = "Identity"
            other.input[:] = [rounded]
            del other.attribute[:]
        model.graph.node.remove(node)


def _rounded_by_photo(source: str, rounded: str) -> onnx.NodeProto:
    """A node that rounds each photo of ``source`` to 256 steps of its own range."""
    levels = ["levels", "step", "zero"]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["values"], levels),
        helper.make_node("DequantizeLinear", levels, ["rounded"]),
    ]
    ends = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("values", "rounded")
    )
    body = helper.make_graph(nodes, "photo", [next(ends)], [next(ends)])
    return helper.make_node("Scan", [source], [rounded], rounded, body=body, num_scan_inputs=1)


def _dequantise_weights(model: onnx.ModelProto, layer: onnx.NodeProto) -> None:
    """Give ``layer`` its weights in float32, in place. Of 8-bit weights whose other factor is in
    float ONNX Runtime makes a product that rounds that factor once more (MatMulNBits)."""
    values, making = constants(model), makers(model)
    for place, name in enumerate(layer.input):
        node = making.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[0] not in values:
            continue
        weights, scale = values[node.input[0]], values[node.input[1]]
        zero = values[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale)
        shape = [1] * weights.ndim
        if scale.size > 1:
            shape[attributes(node).get("axis", 1)] = -1
        whole = weights.astype(np.float32) - zero.astype(np.float32).reshape(shape)
        layer.input[place] = add_constant(model, f"{name}.float", whole * scale.reshape(shape))
