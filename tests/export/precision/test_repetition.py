"""Upsampling by index: the same numbers."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.precision.repetition import repeat_by_index
from tests.export.small import changed, operators, run

NEAREST = {
    "mode": "nearest",
    "nearest_mode": "floor",
    "coordinate_transformation_mode": "asymmetric",
}


def upsampling(
    size: int, sides: tuple[int | str, int | str] = (3, 5), scale: float = 0.1, **mode: str
) -> onnx.ModelProto:
    """A feature map in 8 bits, resized to ``size`` x ``size`` whatever the batch, as the exporter
    has it: from a tensor's shape and constants."""
    up = ["N", 4, *(size if isinstance(side, int) else f"2 {side}" for side in sides)]
    values = {
        "scale": np.array(0.1, np.float32),
        "zero": np.array(10, np.uint8),
        "scale.after": np.array(scale, np.float32),
        "size": np.array([size, size]),
    }
    q, dq = "QuantizeLinear", "DequantizeLinear"
    nodes = [
        helper.make_node(q, ["map", "scale", "zero"], ["map.q"]),
        helper.make_node(dq, ["map.q", "scale", "zero"], ["map.dq"]),
        helper.make_node("Shape", ["map.dq"], ["kept"], start=0, end=2),
        helper.make_node("Concat", ["kept", "size"], ["sizes"], axis=0),
        helper.make_node(
            "Resize", ["map.dq", "", "", "sizes"], ["up"], "resize", **{**NEAREST, **mode}
        ),
        helper.make_node(q, ["up", "scale.after", "zero"], ["up.q"]),
        helper.make_node(dq, ["up.q", "scale.after", "zero"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "upsampling",
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", 4, *sides])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, up)],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
        value_info=[helper.make_tensor_value_info("up", TensorProto.FLOAT, up)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def scaled(scale: float, size: tuple[int, int]) -> onnx.ModelProto:
    """The same by a scale, which need not make whole maps."""
    model = upsampling(1)
    (resize,) = (node for node in model.graph.node if node.op_type == "Resize")
    resize.input[2:] = ["by"]
    by = numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "by")
    model.graph.initializer.append(by)
    for value in (*model.graph.value_info, *model.graph.output):
        value.CopyFrom(
            helper.make_tensor_value_info(value.name, TensorProto.FLOAT, ["N", 4, *size])
        )
    return model


def feature_map(height: int = 3, width: int = 5) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).uniform(0, 20, (2, 4, height, width)).astype(np.float32)


@pytest.mark.parametrize(
    "model",
    [*(upsampling(size) for size in (3, 6, 10, 13)), scaled(2, (6, 10))],
    ids=["3", "6", "10", "13", "twice"],
)
def test_answers_stay(model: onnx.ModelProto) -> None:
    after = changed(model, repeat_by_index)
    assert not {"Resize", "Shape", "Concat"} & set(operators(after))
    np.testing.assert_array_equal(
        run(after, map=feature_map())[0], run(model, map=feature_map())[0]
    )


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(upsampling(6, scale=0.2), id="between scales"),
        pytest.param(scaled(1.5, (4, 7)), id="by a scale that leaves a remainder"),
        pytest.param(upsampling(6, sides=("H", "W")), id="of a size that varies"),
        pytest.param(upsampling(6, mode="linear"), id="linear"),
        pytest.param(upsampling(6, nearest_mode="ceil"), id="rounded up"),
        pytest.param(
            upsampling(6, coordinate_transformation_mode="half_pixel"), id="from cells' middles"
        ),
    ],
)
def test_other_resizing_stays(model: onnx.ModelProto) -> None:
    assert operators(changed(model, repeat_by_index)).count("Resize") == 1
