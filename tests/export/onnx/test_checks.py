"""A graph that any ONNX Runtime could not run, or not at full speed, is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.onnx.checks import GraphError, check_graph, check_size

OPSET = 20
Edit = Callable[[onnx.ModelProto], None]
WIDE = numpy_helper.from_array(np.zeros(1), "wide")
UNREAD = numpy_helper.from_array(np.zeros(1, np.float32), "unread")


@pytest.fixture(params=["efficientdet_lite0_voc", "efficientnet_lite0_imagenet"])
def model(request: pytest.FixtureRequest, store: Path) -> onnx.ModelProto:
    """A shipped graph, to be damaged."""
    return onnx.load(store / request.param / "1" / "model.onnx")


def test_shipped_graph_is_sound(model: onnx.ModelProto) -> None:
    check_graph(model, OPSET)


def put_first(model: onnx.ModelProto, operator: str, domain: str = "", **attributes: int) -> None:
    """Let the first convolution read what a new node makes of its input."""
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    node = helper.make_node(operator, [conv.input[0]], ["new"], domain=domain, **attributes)
    conv.input[0] = "new"
    model.graph.node.insert(list(model.graph.node).index(conv), node)


def add_batch_norm(model: onnx.ModelProto) -> None:
    put_first(model, "BatchNormalization")


def add_branch(
    model: onnx.ModelProto, operator: str = "Dropout", *initializers: onnx.TensorProto
) -> None:
    """An If with a node of ``operator`` in each of its graphs."""
    node = helper.make_node(operator, ["x"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    branch = helper.make_graph([node], "branch", [], [output], initializers)
    put_first(model, "If", then_branch=branch, else_branch=branch)


def add_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    opset = [helper.make_opsetid("", OPSET)]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node], opset))


def add_constant(model: onnx.ModelProto) -> None:
    value = numpy_helper.from_array(np.zeros(1), "value")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["new"], value=value))


def add_float64(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1), "new"))


def add_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "new"))


def move_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (add_batch_norm, "still has training operators: 1 BatchNormalization"),
        (lambda m: put_first(m, "Dropout"), "still has training operators: 1 Dropout"),
        (add_branch, "still has training operators: 2 Dropout"),
        (lambda m: put_first(m, "Gelu", "com.microsoft"), "not ONNX's own: com.microsoft.Gelu"),
        (lambda m: put_first(m, "RandomNormalLike"), "answers by chance: RandomNormalLike"),
        (lambda m: add_branch(m, "Bernoulli"), "answers by chance: Bernoulli"),
        (lambda m: add_branch(m, "Relu", WIDE), "computes in float64: wide"),
        (lambda m: add_branch(m, "Relu", UNREAD), "nothing reads the initializers unread"),
        (add_function, "not ONNX's own: own.F"),
        (
            lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
            "'com.microsoft': 1}, not ai.onnx 20 alone",
        ),
        (lambda m: setattr(m.opset_import[0], "version", 19), "'ai.onnx': 19}, not ai.onnx 20"),
        (lambda m: put_first(m, "Cast", to=TensorProto.DOUBLE), "computes in float64: new"),
        (add_constant, "computes in float64: new"),
        (add_float64, "computes in float64: new"),
        (
            lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE),
            "computes in float64: images",
        ),
        (add_initializer, "nothing reads the initializers new"),
        (move_weights, "the weights are in another file: "),
    ],
    ids=[
        "a batch norm",
        "a dropout",
        "a dropout in a branch",
        "another domain's operator",
        "random numbers",
        "random numbers in a branch",
        "weights in float64 in a branch",
        "weights that nothing reads in a branch",
        "a function",
        "another domain's opset",
        "another opset",
        "a cast to float64",
        "a constant in float64",
        "weights in float64",
        "an input in float64",
        "weights that nothing reads",
        "weights in another file",
    ],
)
def test_unsound_graph_is_refused_in_one_line(
    model: onnx.ModelProto, edit: Edit, words: str
) -> None:
    edit(model)
    with pytest.raises(GraphError) as caught:
        check_graph(model, OPSET)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_faults_are_counted(model: onnx.ModelProto) -> None:
    for i in range(5):
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), f"new{i}"))
    with pytest.raises(GraphError, match=r"initializers new0, new1, new2 and 2 more$"):
        check_graph(model, OPSET)


def test_weights_that_one_file_cannot_hold_are_refused() -> None:
    check_size(600_000_000)  # VGG-19
    with pytest.raises(GraphError, match=r"are 2,147,483,647 bytes; an ONNX file holds less"):
        check_size(2**31 - 1)
