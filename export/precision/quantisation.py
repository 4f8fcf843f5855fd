"""8-bit integers: activations as uint8, weights as int8 with a scale for each output channel.

The graph keeps its float operators between pairs of QuantizeLinear and DequantizeLinear (QDQ),
which every runtime understands; ONNX Runtime fuses them into integer kernels on loading the file.
Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", arXiv 1712.05877, section 2.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from export.onnx.nodes import copied, is_layer, network_nodes
from export.precision.bias_correction import Shifts, correct_biases
from export.precision.first_layer import group_pixels
from export.precision.repetition import repeat_by_index

# Operators with a kernel for integers. Only layers and operators on feature maps use it: decoding,
# selection and softmax cost little, and need floats.
OPERATORS = (
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "Clip",
    "Relu",
    "Pad",
    "Resize",
    "MaxPool",
    "GlobalAveragePool",
    "ReduceMean",
)
FEATURE_MAP_RANK = 4
# A weight's module: its path up to the first number, or up to its last layer.
MODULE = re.compile(r"network\.((?:[a-z_]\w*\.)*?(?:\d+|\w+(?=\.\w+(?:\.weight|$))))")


@dataclass(frozen=True)
class Quantiser:
    """A prepared graph with what its quantisation needs.

    ranges: of every tensor. shifts: of the layers' mean outputs, to be corrected.
    """

    prepared: onnx.ModelProto
    ranges: TensorsData
    shifts: Shifts = field(default_factory=dict)

    def quantise(self, in_float: Collection[str] = ()) -> onnx.ModelProto:
        """The graph in 8 bits, except for the layers named ``in_float``.

        A single float layer between two integer layers can lower accuracy: ONNX Runtime rounds its
        weights itself when it loads the file, with one scale for all channels. With
        EfficientNet-Lite0's first convolution in float 86.8 % of the photos keep their best class,
        with no layer in float 93.7 % (docs/precision.md).
        """
        copy = copied(self.prepared)
        correct_biases(copy, {k: v for k, v in self.shifts.items() if k not in in_float})
        quantizer = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self.ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=[*_kept_in_float(copy), *in_float],
            op_types_to_quantize=list(OPERATORS),
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        model: onnx.ModelProto = quantizer.model.model
        group_pixels(model)
        repeat_by_index(model)
        return model


def quantised_values(model: onnx.ModelProto) -> set[str]:
    """Names of what the nodes that can be quantised read and write."""
    kept = set(_kept_in_float(model))
    nodes = (n for n in model.graph.node if n.op_type in OPERATORS and n.name not in kept)
    return {name for node in nodes for name in (*node.input, *node.output)}


def _kept_in_float(model: onnx.ModelProto) -> list[str]:
    """Nodes with a kernel for integers that are neither a layer nor work on a feature map."""
    network = network_nodes(model)
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.value_info}
    return [
        node.name
        for node in model.graph.node
        if not is_layer(node)
        and not (node.name in network and ranks.get(node.output[0]) == FEATURE_MAP_RANK)
    ]


def layers(model: onnx.ModelProto) -> dict[str, list[str]]:
    """The nodes that have weights, by the network's module that they belong to."""
    groups: dict[str, list[str]] = {}
    for node in model.graph.node:
        if is_layer(node):
            found = MODULE.search(" ".join(node.input[1:2]))
            groups.setdefault(found[1] if found else node.name, []).append(node.name)
    return groups
