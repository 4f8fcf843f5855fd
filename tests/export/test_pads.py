"""A pooling's pads are its own where they are below all numbers, and nowhere else."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.pads import LOWEST, fold_pads

SIDES = [0, 0, 0, 0, 0, 0, 1, 1]


def pooling(pads: list[int], value: float) -> onnx.ModelProto:
    values = {"pads": np.array(pads), "value": np.array(value, np.float32)}
    nodes = [
        helper.make_node("Pad", ["maps", "pads", "value"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["pooled"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "pooling",
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", 2, 6, 8])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["N", "C", "H", "W"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("pads", "value", "folded"),
    [
        pytest.param(SIDES, LOWEST, True, id="after"),
        pytest.param([0, 0, 1, 1, 0, 0, 1, 1], LOWEST, True, id="around"),
        pytest.param(SIDES, 0.0, False, id="with zeros"),
        pytest.param([0, 1, 0, 0, 0, 0, 1, 1], LOWEST, False, id="channels"),
    ],
)
def test_answers_stay(pads: list[int], value: float, folded: bool) -> None:
    model = pooling(pads, value)
    feeds = {"maps": np.random.default_rng(0).normal(size=(3, 2, 6, 8)).astype(np.float32) - 5}
    before = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    fold_pads(model)
    assert (model.graph.node[0].op_type == "MaxPool") == folded
    assert len(model.graph.initializer) == (0 if folded else 2)
    after = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_array_equal(after[0], before[0])
