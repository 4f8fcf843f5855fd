"""The first convolution as one over groups of four pixels, which is faster in integers.

ONNX Runtime has a fast integer convolution for channels in multiples of four (MLAS, ConvSym), and
takes more than twice as long for a photo's three. Four adjacent pixels have the memory layout of
one place with 12 channels, so the convolution can run on those. With stride 2 and 32 channels it
has two places of 32 in each group, which have the memory layout of one with 64:

    group                0                     1             of 12 channels
    pixel        0    1    2    3      4    5    6    7      of 3
    place 0      *    *    *                                 channels 0 to 31
    place 1                *    *      *                     channels 32 to 63

It adds up the same integers, and zeros where a place does not read.
"""

from collections.abc import Sequence
from itertools import pairwise

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
# from the pixels to the first feature map
OPERATORS = ("Transpose", "DequantizeLinear", "Conv", "QuantizeLinear", "DequantizeLinear")
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def group_pixels(model: onnx.ModelProto) -> None:
    """Make the first convolution of ``model``, in 8 bits, one over groups of pixels, in place.

    It is unchanged if it or its input is in float, or if the groups do not fit.
    """
    layer = chain_after(model, IMAGES, OPERATORS)
    if layer is None:
        return
    conv = layer[2]
    making, values = makers(model), constants(model)
    parameters = [making[name] for name in conv.input[1:] if name in making]
    in_8_bits = all(name in values for node in parameters for name in node.input)
    if len(parameters) + 1 < len(conv.input) or not in_8_bits:
        return
    stated = attributes(conv)
    top, left, bottom, right = stated.get("pads", (0, 0, 0, 0))
    down, along = stated.get("strides", (1, 1))
    weight = values[parameters[0].input[0]]
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
    for node in parameters:
        for i, name in enumerate(node.input):
            value = grouped if values[name].ndim > 1 else np.tile(values[name], GROUP // along)
            node.input[i] = add_constant(model, f"{name}.grouped", value)
    stated["kernel_shape"] = grouped.shape[2:]
    stated["strides"] = down, 1
    stated["pads"] = top, before, bottom, after
    del conv.attribute[:]
    conv.attribute.extend(helper.make_attribute(*item) for item in stated.items())
    groups, places = [0, 0, width // GROUP, GROUP * channels], [0, 0, width // along, outputs]
    _reshape(model, layer, groups, places)
    drop_unused_constants(model)


def _reshape(
    model: onnx.ModelProto, layer: Sequence[onnx.NodeProto], groups: list[int], places: list[int]
) -> None:
    """Let ``layer`` read the images as ``groups``, and give a feature map of ``places``: shapes
    [N, H, W, C], where 0 keeps a dimension."""
    transpose, _, _, quantize, dequantize = layer
    # Values of another shape get another name: bisection compares those of the same name.
    grouped, answer = f"{IMAGES}.grouped", quantize.output[0]
    transpose.input[0] = grouped
    for node, following in pairwise(layer[:4]):
        node.output[0] += ".grouped"
        following.input[0] = node.output[0]
    quantize.output[0] += ".grouped"
    nhwc, apart = f"{answer}.nhwc", f"{answer}.apart"
    in_groups = add_constant(model, f"{grouped}.shape", groups)
    as_places = add_constant(model, f"{apart}.shape", places)
    reshape = helper.make_node("Reshape", [IMAGES, in_groups], [grouped], grouped)
    insert_before(model, transpose, reshape)
    insert_before(
        model,
        dequantize,
        helper.make_node("Transpose", [quantize.output[0]], [nhwc], nhwc, perm=TO_NHWC),
        helper.make_node("Reshape", [nhwc, as_places], [apart], apart),
        helper.make_node("Transpose", [apart], [answer], answer, perm=TO_NCHW),
    )


def _grouped(weight: Array, stride: int, left: int) -> tuple[Array, int, int]:
    """The weight [places x O, GROUP x C, k, groups] that applies ``weight`` [O, C, k, k] at each
    place of a group, and how many groups to pad before and after a row."""
    outputs, channels, height, kernel = weight.shape
    places = GROUP // stride
    before = -(-left // GROUP)
    after = (stride * (places - 1) - left + kernel - 1) // GROUP
    # over every pixel of the groups that the places read
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
