"""A foreign graph in the operators of packages: other nodes, the same answers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from export.adopt.cleaning import cleaned
from export.onnx.checks import check_graph
from export.onnx.trace import OPSET
from export.parity.model import open_quietly

FILES = {
    "hard sigmoid": """
        (float[1,3,8,8] x) => (float[1,3,8,8] y)
        <float three = {3}, float zero = {0}, float six = {6}> {
            a = Add (x, three)
            c = Clip (a, zero, six)
            m = Mul (x, c)
            y = Div (m, six)
        }""",
    "dropout": """
        (float[1,3,8,8] x) => (float[1,3,8,8] y) {
            d, mask = Dropout (x)
            y = Relu (d)
        }""",
    "double": """
        (float[1,3,8,8] x) => (float[1,3,8,8] y) {
            d = Cast <to = 11> (x)
            s = Sqrt (d)
            y = Cast <to = 1> (s)
        }""",
    "batch norm": """
        (float[1,3,8,8] x) => (float[1,3,8,8] y)
        <float[3] g = {1, 2, 3}, float[3] b = {0, 1, 0}, float[3] m = {0, 0.5, 1},
         float[3] v = {1, 4, 9}> {
            r = Relu (x)
            y = BatchNormalization (r, g, b, m, v)
        }""",
}


def model_of(text: str) -> onnx.ModelProto:
    graph = parser.parse_graph(f"file {text.strip()}")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("text", FILES.values(), ids=list(FILES))
def test_answers_stay(text: str) -> None:
    model = model_of(text)
    clean = cleaned(model)
    check_graph(clean, OPSET)
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32) * 4}
    if "Sqrt" in text:
        feeds = {"x": np.abs(feeds["x"])}
    before, after = (open_quietly(m).run(None, feeds)[0] for m in (model, clean))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_clip_between_other_bounds_stays() -> None:
    """Only what a HardSigmoid computes becomes one."""
    model = model_of(FILES["hard sigmoid"])
    six = next(t for t in model.graph.initializer if t.name == "six")
    six.CopyFrom(numpy_helper.from_array(np.array(5, np.float32), "six"))
    assert [node.op_type for node in cleaned(model).graph.node] == ["Add", "Clip", "Mul", "Div"]
    kinds = [node.op_type for node in cleaned(model_of(FILES["hard sigmoid"])).graph.node]
    assert kinds == ["HardSigmoid", "Mul"]


def test_initializers_that_are_inputs_too_are_no_inputs() -> None:
    model = model_of(FILES["hard sigmoid"])
    model.graph.input.append(helper.make_tensor_value_info("six", TensorProto.FLOAT, []))
    assert [value.name for value in cleaned(model).graph.input] == ["x"]
