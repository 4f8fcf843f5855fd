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
    "number in a node": """
        (float[1,3,8,8] x) => (float[1,3,8,8] y) {
            half = Constant <value_float = 0.5> ()
            y = Mul (x, half)
        }""",
}
BY_OPSET = {
    7: """
        (float[1,3,8,8] x) => (float[1,3,16,16] y) {
            r = Clip <min = 0.0, max = 6.0> (x)
            y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]> (r)
        }""",
    9: """
        (float[1,3,8,8] x) => (float[1,3,16,16] y)
        <float[4] scales = {1, 1, 2, 2}> {
            r = LeakyRelu <alpha = 0.1> (x)
            y = Upsample <mode = "nearest"> (r, scales)
        }""",
    21: """
        (float[1,3,8,8] x) => (float[1,8,30] y)
        <int64[3] shape = {1, 8, 30}, int64[2] pads = {1, 1}, int64[1] axis = {3}, float zero = {0}>
        {
            r = Relu (x)
            p = Pad (r, pads, zero, axis)
            t = Transpose <perm = [0, 2, 3, 1]> (p)
            y = Reshape (t, shape)
        }""",
}


def model_of(text: str, opset: int = 13) -> onnx.ModelProto:
    graph = parser.parse_graph(f"file {text.strip()}")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", BY_OPSET)
def test_opsets_of_other_years_become_ours(opset: int) -> None:
    model = model_of(BY_OPSET[opset], opset)
    clean = cleaned(model)
    check_graph(clean, OPSET)
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)}
    before, after = (open_quietly(m).run(None, feeds)[0] for m in (model, clean))
    np.testing.assert_allclose(after, before, rtol=1e-6)


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
