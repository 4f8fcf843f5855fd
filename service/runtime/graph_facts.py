"""What a graph shows of what its manifest says: precision, activation, classes, normalisation.

Each is None where the graph does not show it, so that graphs of other tools are not refused for
being written otherwise. Models are those of `runtime.onnx_model`, or of the onnx package.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from service.manifest import PackageManifest
from service.runtime.onnx_model import DTYPES

Array = npt.NDArray[Any]

FLOAT16, BFLOAT16 = 10, 16  # TensorProto.DataType
# What may stand between the activation and the output.
PASSED_OVER = ("Cast", "Identity", "QuantizeLinear", "DequantizeLinear", "Reshape", "Squeeze")
ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
CHANNELS = 3
# The constants that normalise, as the export calls them, and how exactly they hold mean and std:
# half of float16's digits are lost where two are divided, and 8 bits have a whole zero point.
NORMALISING = (
    ("normalise.scale", "normalise.shift", 1e-5),
    ("normalise.scale.half", "normalise.shift.half", 3e-3),
)
QUANTISED = ("images.scale", "images.zero_point", 3e-3)
CHANNEL_ORDERS = {(0, 1, 2): "rgb", (2, 1, 0): "bgr"}


def check_facts(manifest: PackageManifest, model: Any) -> str | None:
    """The first thing that ``manifest`` says and ``model`` shows otherwise, in a line, or None."""
    labels = getattr(manifest, "labels", None)
    for name, stated, shown in (
        ("precision", manifest.precision, precision_of(model)),
        ("activation", getattr(manifest, "activation", None), activation_of(model)),
        ("number of labels", labels and len(labels), classes_of(model)),
        ("channel order", manifest.input.channel_order, channel_order_of(model)),
    ):
        if None not in (stated, shown) and stated != shown:
            return f"the graph's {name} is {shown}, the manifest says {stated}"
    if (normalisation := normalisation_of(model, manifest.input.unit)) is not None:
        tolerance = normalisation[2]
        for name, shown_channels in zip(("mean", "std"), normalisation[:2], strict=True):
            stated_channels = getattr(manifest.input, name)
            if not np.allclose(shown_channels, stated_channels, rtol=tolerance, atol=tolerance):
                shown = ", ".join(f"{channel:.4g}" for channel in shown_channels)
                return f"the graph's {name} is {shown}, the manifest says {stated_channels}"
    return None


def precision_of(model: Any) -> str:
    """What its weights are in."""
    if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return "int8"
    types = {tensor.data_type for tensor in model.graph.initializer}
    return "fp16" if FLOAT16 in types else "bf16" if BFLOAT16 in types else "fp32"


def activation_of(model: Any) -> str | None:
    """What makes a classifier's probabilities of its logits."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.pop("probabilities", None)
    while node is not None and node.op_type in PASSED_OVER:
        node = makers.pop(_input(node, 0), None)  # once: what is no graph may go round in a circle
    return None if node is None else ACTIVATIONS.get(node.op_type)


def classes_of(model: Any) -> int | None:
    """How many classes compete in a detector's suppression: its scores are [N, C, k]. It is the
    last of a graph: before it, two stages suppress proposals among the levels of a pyramid."""
    suppressions = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
    scores = _input(suppressions[-1], 1) if suppressions else ""
    for value in model.graph.value_info:
        shape = value.type.tensor_type.shape.dim
        if value.name == scores and len(shape) == 3 and shape[1].dim_value:
            return int(shape[1].dim_value)
    return None


def channel_order_of(model: Any) -> str | None:
    """In which the network reads: the one that a Gather makes of the images or of their planes, or
    else theirs, if the graph normalises as the export does it."""
    photos = {"images"}
    for node in model.graph.node:
        if node.op_type == "Transpose" and _input(node, 0) == "images":
            photos.update(node.output)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gather" and _input(node, 0) in photos and _input(node, 1) in tensors:
            return CHANNEL_ORDERS.get(tuple(_values(tensors[_input(node, 1)]).tolist()))
    return None if normalisation_of(model, 1.0) is None else "rgb"


def normalisation_of(model: Any, unit: float) -> tuple[Array, Array, float] | None:
    """Mean and std of the channels where ``unit`` is scaled to 1, and how exact the two are."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for scale_name, shift_name, tolerance in NORMALISING:
        if scale_name in tensors and shift_name in tensors:
            scale, shift = _values(tensors[scale_name]), _values(tensors[shift_name])
            if scale.size == shift.size and scale.size in (1, CHANNELS) and scale.all():
                return -shift / scale / unit, 1 / (unit * scale), tolerance
    scale_name, zero_name, tolerance = QUANTISED
    if scale_name in tensors and zero_name in tensors:
        scale, zero = _values(tensors[scale_name]), _values(tensors[zero_name])
        if scale.size == zero.size == 1 and scale.all():
            mean, std = zero / unit, 1 / (unit * scale)
            return np.repeat(mean, CHANNELS), np.repeat(std, CHANNELS), tolerance
    return None


def _input(node: Any, place: int) -> str:
    """The name of an input of ``node``; "" if it has no such input."""
    return str(node.input[place]) if place < len(node.input) else ""


def _values(tensor: Any) -> Array:
    """What a constant holds, flat, floats in float64; nothing if it is not written as plain bytes
    of one of `DTYPES`."""
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None or len(tensor.raw_data) % np.dtype(dtype).itemsize:
        return np.zeros(0)
    values = np.frombuffer(tensor.raw_data, dtype)
    return values.astype(np.float64) if values.dtype.kind == "f" else values
