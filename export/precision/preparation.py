"""A float32 graph, made ready for 8 bits: nothing in it that could have been worked out before."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.onnx.nodes import constants, drop_unused_constants, readers
from export.onnx.passes import fold_pads
from service.manifest import InputSpec

IMAGES = "images"


def prepare(model: onnx.ModelProto, spec: InputSpec) -> onnx.ModelProto:
    """``model`` with constants folded, fused as ONNX Runtime fuses it, and with shapes.

    Pads before a max pooling become its own; the normalisation of the pixels becomes part of the
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

    Possible where all channels share mean and deviation, as of 8 bits there is one scale and one
    whole zero point z = round(255 mean). What z is off by, up to half a grey level, is added to the
    convolution's bias; at the border, where zeros are padded, that is wrong by as little.
    """
    if len({*spec.mean}) > 1 or len({*spec.std}) > 1:
        return
    mean, std = spec.mean[0], spec.std[0]
    reading, values = readers(model), constants(model)
    chain = [node for node in reading[IMAGES] if node.op_type == "Transpose"]
    for expected in ("Cast", "Mul", "Add", "Conv"):
        after = reading[chain[-1].output[0]]
        if len(after) != 1 or after[0].op_type != expected:
            return
        chain.append(after[0])
    transpose, cast, mul, add, conv = chain
    scale, zero = 1 / (255 * std), round(255 * mean)
    weight = values[conv.input[1]]
    bias = values[conv.input[2]] if len(conv.input) > 2 else np.zeros(len(weight), np.float32)
    bias = bias + weight.sum(axis=(1, 2, 3)) * (zero - 255 * mean) * scale
    for name, value in (
        (f"{IMAGES}.scale", np.array(scale, dtype=np.float32)),
        (f"{IMAGES}.zero_point", np.array(zero, dtype=np.uint8)),
        (f"{conv.name}.bias", bias.astype(np.float32)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    dequantize = helper.make_node(
        "DequantizeLinear",
        [transpose.output[0], f"{IMAGES}.scale", f"{IMAGES}.zero_point"],
        [f"{IMAGES}.normalised"],
        name=f"{IMAGES}.dequantize",
    )
    place = list(model.graph.node).index(cast)
    for node in (cast, mul, add):
        model.graph.node.remove(node)
    model.graph.node.insert(place, dequantize)
    del conv.input[2:]
    conv.input[0] = dequantize.output[0]
    conv.input.append(f"{conv.name}.bias")
