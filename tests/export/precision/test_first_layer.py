"""The first convolution over groups of pixels: the same integers, in a faster form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.onnx.nodes import attributes, constants
from export.precision.first_layer import GROUP, group_pixels
from tests.export.small import changed, operators, run


def first_layer(
    width: int | str = 16,
    kernel: int = 3,
    stride: int = 2,
    pads: tuple[int, int, int, int] = (0, 0, 1, 1),
    **more: Any,
) -> onnx.ModelProto:
    """Pixels in 8 bits, a convolution of 5 channels and its feature map."""
    rng = np.random.default_rng(0)
    values = {
        "scale": np.array(0.02, np.float32),
        "zero": np.array(128, np.uint8),
        "weight": rng.integers(-127, 128, (5, 3, kernel, kernel)).astype(np.int8),
        "weight.scale": rng.uniform(0.001, 0.01, 5).astype(np.float32),
        "weight.zero": np.zeros(5, np.int8),
        "bias": rng.integers(-999, 999, 5).astype(np.int32),
        "bias.scale": np.full(5, 1e-4, np.float32),
        "bias.zero": np.zeros(5, np.int32),
        "map.scale": np.array(0.1, np.float32),
        "map.zero": np.array(100, np.uint8),
    }
    dequantize = "DequantizeLinear"
    nodes = [
        helper.make_node("Transpose", ["images"], ["chw"], perm=[0, 3, 1, 2]),
        helper.make_node(dequantize, ["chw", "scale", "zero"], ["pixels"]),
        helper.make_node(dequantize, ["weight", "weight.scale", "weight.zero"], ["w"], axis=0),
        helper.make_node(dequantize, ["bias", "bias.scale", "bias.zero"], ["b"], axis=0),
        helper.make_node(
            "Conv", ["pixels", "w", "b"], ["found"], pads=pads, strides=[stride] * 2, **more
        ),
        helper.make_node("QuantizeLinear", ["found", "map.scale", "map.zero"], ["map"]),
        helper.make_node(dequantize, ["map", "map.scale", "map.zero"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "first layer",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 12, width, 3])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 5, "H", "W"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def photo(width: int = 16) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 256, (2, 12, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("kernel", "stride", "pads"),
    [
        pytest.param(3, 2, (0, 0, 1, 1), id="TensorFlow's"),
        pytest.param(3, 2, (1, 1, 1, 1), id="PyTorch's"),
        pytest.param(5, 2, (1, 1, 2, 2), id="5x5"),
        pytest.param(7, 2, (3, 3, 3, 3), id="ResNet's"),
        pytest.param(3, 1, (1, 1, 1, 1), id="VGG's"),
        pytest.param(4, 4, (0, 0, 0, 0), id="as wide as a group"),
    ],
)
def test_answers_stay(kernel: int, stride: int, pads: tuple[int, int, int, int]) -> None:
    model = first_layer(kernel=kernel, stride=stride, pads=pads)
    after = changed(model, group_pixels)
    (conv,) = (node for node in after.graph.node if node.op_type == "Conv")
    weight = constants(after)["weight.grouped"]
    assert weight.shape[:2] == (GROUP // stride * 5, GROUP * 3)
    assert attributes(conv)["strides"] == [stride, 1]
    np.testing.assert_array_equal(run(after, images=photo())[0], run(model, images=photo())[0])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: first_layer(width=18), id="a width that groups do not fill"),
        pytest.param(lambda: first_layer(width="W"), id="a width that varies"),
        pytest.param(lambda: first_layer(stride=3), id="a stride across groups"),
        pytest.param(lambda: first_layer(pads=(0, 0, 0, 0)), id="a map that ends within a group"),
        pytest.param(lambda: first_layer(dilations=[2, 2]), id="dilated"),
    ],
)
def test_what_does_not_fit_stays(make: Callable[[], onnx.ModelProto]) -> None:
    model = make()
    assert changed(model, group_pixels) == model


def test_a_layer_in_float_stays(small: onnx.ModelProto) -> None:
    assert operators(changed(small, group_pixels)) == operators(small)
