"""Biases that compensate for the shift that rounding the weights gives to a layer's mean output.

Rounding a weight W to Wq shifts the output of its channel by (Wq - W) E[x] on average. That adds up
from layer to layer, most of all in depthwise layers, whose few weights do not average out. Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv 1906.04721,
section 4.2, with E[x] from photos.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from export.onnx.nodes import (
    Array,
    attributes,
    bias_of,
    constants,
    copied,
    drop_unused_constants,
    set_bias,
)
from export.parity.model import Feeds, open_quietly

Shifts = Mapping[str, Array]
LARGEST = 127  # of a weight in 8 bits; -128 is not used, so that the range is symmetric


def rounding_shifts(model: onnx.ModelProto, feeds: Sequence[Feeds]) -> Shifts:
    """By how much rounding its weights shifts the mean output [O] of each convolution, by name.

    model: prepared for 8 bits. feeds: of the photos that E[x] is measured on.
    """
    values = constants(model)
    layers = [n for n in model.graph.node if n.op_type == "Conv" and n.input[1] in values]
    means = _channel_means(model, {layer.input[0] for layer in layers}, feeds)
    shifts = {}
    for layer in layers:
        weight = values[layer.input[1]]  # [O, I / groups, k, k]
        groups = attributes(layer).get("group", 1)
        error = (_rounded(weight) - weight).sum(axis=(2, 3))  # [O, I / groups]
        inputs = means[layer.input[0]].reshape(groups, 1, -1)  # [groups, 1, I / groups]
        by_group = error.reshape(groups, -1, error.shape[1]) * inputs
        shifts[layer.name] = by_group.sum(axis=2).ravel()
    return shifts


def correct_biases(model: onnx.ModelProto, shifts: Shifts) -> None:
    """Subtract ``shifts`` from the biases of the convolutions that they name, in place."""
    values = constants(model)
    for layer in model.graph.node:
        if layer.name in shifts:
            corrected = bias_of(layer, values) - shifts[layer.name]
            set_bias(model, layer, f"{layer.name}.corrected_bias", corrected)
    drop_unused_constants(model)


def _rounded(weight: Array) -> Array:
    """``weight`` rounded to 8 bits, each output channel with its own scale."""
    scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / LARGEST
    scale[scale == 0] = 1
    rounded: Array = np.round(weight / scale) * scale
    return rounded


def _channel_means(
    model: onnx.ModelProto, names: set[str], feeds: Sequence[Feeds]
) -> dict[str, Array]:
    """The means [C] of the channels of the feature maps ``names`` [N, C, H, W], over ``feeds``."""
    exposed = copied(model)
    known = {output.name for output in exposed.graph.output}
    exposed.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in sorted(names - known)
    )
    session = open_quietly(exposed)
    wanted = sorted(names)
    sums = [np.zeros(1) for _ in wanted]
    for feed in feeds:
        found = session.run(wanted, feed)
        sums = [total + maps.mean(axis=(0, 2, 3)) for total, maps in zip(sums, found, strict=True)]
    return {name: total / len(feeds) for name, total in zip(wanted, sums, strict=True)}
