"""A float32 graph, made ready for 8 bits: constants folded, operators fused."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.onnx.nodes import (
    IMAGES,
    add_constant,
    bias_of,
    chain_after,
    constants,
    drop_unused_constants,
    insert_before,
    set_bias,
)
from export.onnx.passes import fold_pads
from service.imaging.input_spec import InputSpec


def prepare(model: onnx.ModelProto, spec: InputSpec) -> onnx.ModelProto:
    """A copy of ``model`` with constants folded, fused as ONNX Runtime fuses it, and with shapes.

    Pads before a max pooling become its own. The normalisation of the pixels becomes part of the
    first convolution, which then reads the photo's own 8 bits.
    """
    with tempfile.TemporaryDirectory(prefix="boxport-quantise-") as folder:
        source, target = Path(folder) / "model.onnx", Path(folder) / "prepared.onnx"
        onnx.save(model, source)
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
        prepared = onnx.load(target)
    # ONNX Runtime declares every domain that it knows, and uses one
    del prepared.opset_import[:]
    prepared.opset_import.extend(model.opset_import)
    fold_pads(prepared)
    _fold_normalisation(prepared, spec)
    drop_unused_constants(prepared)
    return prepared


def _fold_normalisation(model: onnx.ModelProto, spec: InputSpec) -> None:
    """images -> Cast -> Mul -> Add -> Conv becomes images -> DequantizeLinear -> Conv.

    Possible where all channels share mean and deviation, as 8 bits have one scale and one integer
    zero point z = round(mean / scale), if that is a grey level. The rounding error of z, up to half
    a level, is added to the convolution's bias; at the border, where zeros are padded, that is
    wrong by as little.
    """
    if len({*spec.mean}) > 1 or len({*spec.std}) > 1:
        return
    chain = chain_after(model, IMAGES, ("Transpose", "Cast", "Mul", "Add", "Conv"))
    if chain is None:
        return
    transpose, cast, mul, add, conv = chain
    values, mean = constants(model), spec.unit * spec.mean[0]
    if not values.keys() >= {*conv.input[1:]}:  # computed weights, in a graph that is not ours
        return
    scale, zero = 1 / (spec.unit * spec.std[0]), round(mean)
    if not 0 <= zero <= 255:
        return
    shift = values[conv.input[1]].sum(axis=(1, 2, 3)) * (zero - mean) * scale  # [O]
    set_bias(model, conv, f"{conv.name}.bias", bias_of(conv, values) + shift)
    dequantize = helper.make_node(
        "DequantizeLinear",
        [
            transpose.output[0],
            add_constant(model, f"{IMAGES}.scale", np.float32(scale)),
            add_constant(model, f"{IMAGES}.zero_point", np.uint8(zero)),
        ],
        [f"{IMAGES}.normalised"],
        name=f"{IMAGES}.dequantize",
    )
    insert_before(model, cast, dequantize)
    for node in (cast, mul, add):
        model.graph.node.remove(node)
    conv.input[0] = dequantize.output[0]
