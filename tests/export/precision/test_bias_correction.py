"""Biases make up for what rounding the weights does to the means."""

from typing import Any

import numpy as np
import onnx

from export.onnx.nodes import constants
from export.precision.bias_correction import correct_biases, rounding_shifts
from tests.export.small import run


def with_weights(model: onnx.ModelProto, name: str, weight: np.ndarray[Any, Any]) -> None:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(weight.astype(np.float32), name))


def exposed_means(model: onnx.ModelProto, name: str, pixels: np.ndarray[Any, Any]) -> Any:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return run(copy, images=pixels)[1].mean(axis=(0, 2, 3))


def test_corrected_layer_with_rounded_weights_has_the_float_layers_means(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any]
) -> None:
    """A layer without padding, as at the border a mean is not the same for all weights."""
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    (layer,) = (node for node in model.graph.node if node.name == "stage")
    del layer.attribute[:]
    (residual,) = (node for node in model.graph.node if node.name == "residual")
    residual.input[0] = "stage"
    name = "network.stages.0.conv.weight"
    centre = np.zeros((8, 8, 3, 3))
    centre[:, :, 1, 1] = constants(model)[name][:, :, 1, 1]
    with_weights(model, name, centre)
    wanted = exposed_means(model, "stage", pixels)

    shifts = rounding_shifts(model, [{"images": image[None]} for image in pixels])
    scale = np.abs(centre).max(axis=(1, 2, 3), keepdims=True) / 127
    with_weights(model, name, np.round(centre / scale) * scale)
    rounded = exposed_means(model, "stage", pixels)
    correct_biases(model, {"stage": shifts["stage"]})
    corrected = exposed_means(model, "stage", pixels)
    assert np.abs(corrected - wanted).max() < 0.1 * np.abs(rounded - wanted).max()


def test_weights_that_need_no_rounding_shift_nothing(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any]
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    whole = np.random.default_rng(0).integers(-127, 128, (8, 8, 3, 3))
    whole[:, 0, 0, 0] = 127
    with_weights(model, "network.stages.0.conv.weight", whole / 127)
    shifts = rounding_shifts(model, [{"images": pixels}])
    np.testing.assert_allclose(shifts["stage"], 0, atol=1e-5)
    assert np.abs(shifts["stem"]).max() > 1e-5


def test_other_layers_keep_their_biases(prepared: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(prepared)
    correct_biases(model, {"stage": np.ones(8)})
    values = constants(model)
    biases = {n.name: values[n.input[2]] for n in model.graph.node if n.op_type == "Conv"}
    (stem,) = (node for node in prepared.graph.node if node.name == "stem")
    np.testing.assert_array_equal(biases["stem"], constants(prepared)[stem.input[2]])
    np.testing.assert_array_equal(biases["stage"], -np.ones(8))
