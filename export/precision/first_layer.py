"""The first convolution, over groups of four pixels.

ONNX Runtime has a fast convolution in integers for channels that come by fours (MLAS, ConvSym), and
takes more than twice as long over a photo's three. Four pixels next to each other are in memory
what one place of 12 channels is, so the convolution can as well go over those. One of stride 2 and
32 channels finds two places of 32 in each group, which are in memory what one of 64 is:

    group                0                     1             of 12 channels
    pixel        0    1    2    3      4    5    6    7      of 3
    place 0      *    *    *                                 channels 0 to 31
    place 1                *    *      *                     channels 32 to 63

It adds up the same integers, and zeros where a place does not look.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from export.onnx.nodes import (
    IMAGES,
    Array,
    add_constant,
    attributes,
    chain_after,
    constants,
    drop_unused_constants,
    insert_before,
    makers,
)

GROUP = 4  # pixels
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True)
class FirstLayer:
    """The nodes from a photo to the first feature map: images -> transpose -> dequantize -> conv ->
    quantize -> dequantize_map, and those that the convolution's weights and biases come from."""

    transpose: onnx.NodeProto
    dequantize: onnx.NodeProto
    conv: onnx.NodeProto
    quantize: onnx.NodeProto
    dequantize_map: onnx.NodeProto
    parameters: tuple[onnx.NodeProto, ...]


def group_pixels(model: onnx.ModelProto) -> None:
    """Let the first convolution of ``model``, in 8 bits, go over groups of pixels, in place.

    It is left alone where it or what it reads is in float, and where the groups do not fit.
    """
    layer, values = _first_layer(model), constants(model)
    if layer is None:
        return
    stated = attributes(layer.conv)
    top, left, bottom, right = stated.get("pads", (0, 0, 0, 0))
    down, along = stated.get("strides", (1, 1))
    weight = values[layer.parameters[0].input[0]]
    outputs, channels, _, kernel = weight.shape
    (images,) = (value for value in model.graph.input if value.name == IMAGES)
    width = images.type.tensor_type.shape.dim[2].dim_value  # 0 if it varies
    if (
        not width
        or width % GROUP
        or GROUP % along
        or (width + left + right - kernel) // along + 1 != width // along
        or stated.get("group", 1) != 1
        or any(step != 1 for step in stated.get("dilations", ()))
    ):
        return
    grouped, before, after = _grouped(weight, along, left)
    for node in layer.parameters:
        for i, name in enumerate(node.input):
            value = grouped if values[name].ndim > 1 else np.tile(values[name], GROUP // along)
            node.input[i] = add_constant(model, f"{name}.grouped", value)
    stated["kernel_shape"] = grouped.shape[2:]
    stated["strides"] = down, 1
    stated["pads"] = top, before, bottom, after
    del layer.conv.attribute[:]
    layer.conv.attribute.extend(helper.make_attribute(*item) for item in stated.items())

    # What has another shape gets another name: values of one name are compared by the parity gate.
    groups, answer = f"{IMAGES}.grouped", layer.quantize.output[0]
    layer.transpose.input[0] = groups
    chain = (layer.transpose, layer.dequantize, layer.conv, layer.quantize)
    for node, following in zip(chain, (*chain[1:], None), strict=True):
        node.output[0] += ".grouped"
        if following is not None:
            following.input[0] = node.output[0]
    quantized, nhwc, apart = layer.quantize.output[0], f"{answer}.nhwc", f"{answer}.apart"
    in_groups = add_constant(model, f"{groups}.shape", [0, 0, width // GROUP, GROUP * channels])
    as_places = add_constant(model, f"{apart}.shape", [0, 0, width // along, outputs])
    insert_before(
        model, layer.transpose, helper.make_node("Reshape", [IMAGES, in_groups], [groups], groups)
    )
    insert_before(
        model,
        layer.dequantize_map,
        helper.make_node("Transpose", [quantized], [nhwc], nhwc, perm=TO_NHWC),
        helper.make_node("Reshape", [nhwc, as_places], [apart], apart),
        helper.make_node("Transpose", [apart], [answer], answer, perm=TO_NCHW),
    )
    drop_unused_constants(model)


def _first_layer(model: onnx.ModelProto) -> FirstLayer | None:
    """The first layer if it is in 8 bits, as are the pixels that it reads."""
    operators = ("Transpose", "DequantizeLinear", "Conv", "QuantizeLinear", "DequantizeLinear")
    chain = chain_after(model, IMAGES, operators)
    if chain is None:
        return None
    making, values = makers(model), constants(model)
    transpose, dequantize, conv, quantize, dequantize_map = chain
    parameters = tuple(making[name] for name in conv.input[1:] if name in making)
    read = [name for node in parameters for name in node.input]
    if len(parameters) + 1 < len(conv.input) or not all(name in values for name in read):
        return None
    return FirstLayer(transpose, dequantize, conv, quantize, dequantize_map, parameters)


def _grouped(weight: Array, stride: int, left: int) -> tuple[Array, int, int]:
    """The weight [places x O, GROUP x C, k, groups] of what ``weight`` [O, C, k, k] does in each of
    a group's places, and how many groups are to be padded before and after a row."""
    outputs, channels, height, kernel = weight.shape
    places = GROUP // stride
    before = -(-left // GROUP)
    after = (stride * (places - 1) - left + kernel - 1) // GROUP
    # every pixel of the groups that the places look at
    wide = np.zeros((places, outputs, channels, height, (before + 1 + after) * GROUP), weight.dtype)
    for place in range(places):
        start = before * GROUP + stride * place - left
        wide[place, ..., start : start + kernel] = weight
    split = wide.reshape(places, outputs, channels, height, before + 1 + after, GROUP)
    ordered = split.transpose(0, 1, 5, 2, 3, 4)  # [places, O, GROUP, C, k, groups]
    return (
        ordered.reshape(places * outputs, GROUP * channels, height, before + 1 + after),
        before,
        after,
    )
