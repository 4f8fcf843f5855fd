"""Reading and editing ONNX graphs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]

IMAGES = "images"  # the graph's input
WEIGHTED = ("Conv", "Gemm", "MatMul")
# What a Constant may state, and the type that it then has; None: the tensor's own.
CONSTANT_TYPES = {
    "value": None,
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
SNAKE = ".snake."  # in the names of the weights that find outlines
REGION_POOLING = ("RoiAlign", "MaxRoiPool")  # of features and, after them, of boxes


def is_weighted(node: onnx.NodeProto) -> bool:
    """Whether ``node`` is a layer: nearly all of a network's work is in these."""
    return node.op_type in WEIGHTED


def is_layer(node: onnx.NodeProto) -> bool:
    """Whether ``node`` is a layer of the network, and not of a snake: that comes after detection,
    and its vertices need all digits of their places."""
    return is_weighted(node) and not any(SNAKE in name for name in node.input[1:])


def network_nodes(model: onnx.ModelProto) -> set[str]:
    """Names of the layers and of all nodes that a layer depends on; what comes after the last
    layer, such as decoding, selection and softmax, does not belong to the network. Nor does what
    decodes and selects the regions of a two-stage detector, nor cutting them out, which computes
    in the boxes' type."""
    ahead: set[str] = set()  # values that a layer depends on
    found = set()
    for node in reversed(model.graph.node):
        if is_layer(node) or any(name in ahead for name in node.output):
            found.add(node.name)
            ahead.update(node.input)
    return found - _region_nodes(model)


def _region_nodes(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that pool regions, and of those between them and the layers that their
    boxes come from."""
    ahead: set[str] = set()
    found = set()
    for node in reversed(model.graph.node):
        pools = node.op_type in REGION_POOLING
        if pools or (not is_weighted(node) and any(name in ahead for name in node.output)):
            found.add(node.name)
            ahead.update(node.input[1:] if pools else node.input)
    return found


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each value."""
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node that computes each value."""
    return {name: node for node in model.graph.node for name in node.output}


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of each value whose type can be inferred: a `TensorProto.DataType`."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes that ``node`` states, by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def insert_before(model: onnx.ModelProto, node: onnx.NodeProto, *inserted: onnx.NodeProto) -> None:
    """Put nodes, in their order, before ``node``, in place."""
    place = list(model.graph.node).index(node)
    for other in reversed(inserted):
        model.graph.node.insert(place, other)


def add_constant(model: onnx.ModelProto, name: str, value: npt.ArrayLike) -> str:
    """Give ``model`` an initializer, in place; returns its name."""
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def lift_constants(model: onnx.ModelProto) -> None:
    """Make initializers of the graph's Constant nodes of numbers, in place."""
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        ((kind, value),) = attributes(node).items()
        if kind in CONSTANT_TYPES:
            dtype = CONSTANT_TYPES[kind]
            array = numpy_helper.to_array(value) if dtype is None else np.array(value, dtype)
            add_constant(model, node.output[0], array)
            model.graph.node.remove(node)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def chain_after(
    model: onnx.ModelProto, value: str, op_types: Sequence[str]
) -> list[onnx.NodeProto] | None:
    """Nodes of ``op_types``: the first reads ``value``, each other is the only reader of the one
    before it. None if there is no such chain."""
    following = readers(model)
    nodes = [node for node in following[value] if node.op_type == op_types[0]][:1]
    for expected in op_types[1:]:
        after = following[nodes[-1].output[0]] if nodes else []
        if len(after) != 1 or after[0].op_type != expected:
            return None
        nodes.append(after[0])
    return nodes or None


def bias_of(conv: onnx.NodeProto, values: Mapping[str, Array]) -> Array:
    """A convolution's bias [O] from the constants ``values``: zeros if it has none."""
    return values[conv.input[2]] if len(conv.input) > 2 else np.zeros(len(values[conv.input[1]]))


def set_bias(model: onnx.ModelProto, conv: onnx.NodeProto, name: str, bias: Array) -> None:
    """Give ``conv`` a bias [O], in place."""
    del conv.input[2:]
    conv.input.append(add_constant(model, name, bias.astype(np.float32)))


def read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the values that ``node`` reads, those inside its graphs included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from read_by(inner)
        yield from (output.name for output in attribute.g.output)


def drop_unused_nodes(model: onnx.ModelProto) -> None:
    """Remove the nodes that no output depends on, and then `drop_unused_constants`, in place."""
    needed = {output.name for output in model.graph.output}
    for node in reversed(list(model.graph.node)):
        if needed.intersection(node.output):
            needed.update(read_by(node))
        else:
            model.graph.node.remove(node)
    drop_unused_constants(model)


def drop_unused_constants(model: onnx.ModelProto) -> None:
    """Remove the initializers that no node reads, in place."""
    used = {name for node in model.graph.node for name in read_by(node)}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
