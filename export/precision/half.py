"""16-bit floats: the network in binary16, pixels before it and decoding after it in float32."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.onnx.nodes import (
    add_constant,
    constants,
    copied,
    drop_unused_constants,
    is_weighted,
    lift_constants,
    network_nodes,
    value_types,
)

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
# Inputs that stay in float32 although the operator computes in float16: Resize's regions, scales.
KEPT_INPUTS = {"Resize": (1, 2)}
SATURATED = ("Pad", "Clip")  # operators whose constants may become the largest of float16
SCALED = ("Div", "Mul")  # operators after which a number is of the size of others again
LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` with its network in float16. Inputs and outputs keep their types.

    Boxes and scores are computed from the network's outputs in float32: pixels of large photos and
    near-equal scores need more than 11 bits.
    """
    half = copied(model)
    lift_constants(half)
    _Halver(half).run()
    onnx.checker.check_model(half, full_check=True)
    return half


class _Halver:
    """One graph's conversion, in place."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.graph = model, model.graph
        self.network = network_nodes(model) - _unrepresentable(model)
        self.floats = {name for name, kind in value_types(model).items() if kind == FLOAT}
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.made: set[str] = set()  # values in the other type that there are already
        self.halved: set[str] = set()  # values that the network computes

    def run(self) -> None:
        del self.graph.value_info[:]
        nodes, outputs = list(self.graph.node), {o.name for o in self.graph.output}
        del self.graph.node[:]
        for node in nodes:
            inside = node.name in self.network
            kept = KEPT_INPUTS.get(node.op_type, ()) if inside else ()
            for place, name in enumerate(node.input):
                node.input[place] = self._read(name, half=inside and place not in kept)
            if inside:
                self._retype(node)
                self.halved |= {name for name in node.output if name in self.floats}
                assert not self.halved & outputs, "a network's output goes through decoding"
            self.graph.node.append(node)
        drop_unused_constants(self.model)

    def _read(self, name: str, half: bool) -> str:
        """The name of ``name`` in float16 or in float32, with a cast if there is none yet."""
        if name in self.initializers:
            tensor = self.initializers[name]
            return self._half_constant(tensor) if half and tensor.data_type == FLOAT else name
        if name not in self.floats or (name in self.halved) == half:
            return name
        return self._cast(name, half)

    def _half_constant(self, tensor: TensorProto) -> str:
        name = f"{tensor.name}.half"
        if name not in self.made:
            values = numpy_helper.to_array(tensor).clip(-LARGEST, LARGEST).astype(np.float16)
            self.made.add(add_constant(self.model, name, values))
        return name

    def _cast(self, name: str, half: bool) -> str:
        cast = f"{name}.{'half' if half else 'full'}"
        if cast not in self.made:
            self.made.add(cast)
            dtype = HALF if half else FLOAT
            self.graph.node.append(
                helper.make_node("Cast", [name], [cast], f"{cast}.cast", to=dtype)
            )
        return cast

    def _retype(self, node: onnx.NodeProto) -> None:
        """Change the types that a node of the network states."""
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = HALF


def _unrepresentable(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that read a constant past float16's largest, or a single number so small
    that it becomes 0, such as what keeps a division from one by 0; then those too that compute with
    the result, up to that division. These stay in float32; of many weights small ones may become 0.
    """
    beyond, small = set[str](), set[str]()
    for name, value in constants(model).items():
        if value.dtype != np.float32:
            continue
        if (np.abs(value) > LARGEST).any():
            beyond.add(name)
        if value.size == 1 and 0 < np.abs(value).max() < SMALLEST:
            small.add(name)
    found = set()
    for node in model.graph.node:
        reads_small = not is_weighted(node) and not small.isdisjoint(node.input)
        if reads_small or (node.op_type not in SATURATED and not beyond.isdisjoint(node.input)):
            found.add(node.name)
        if reads_small and node.op_type not in SCALED:
            small.update(node.output)
    return found
