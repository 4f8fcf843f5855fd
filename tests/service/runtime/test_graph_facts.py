"""Facts are read of graphs that are none, too: their fault is told by the runtime, in its turn."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.runtime.graph_facts import (
    activation_of,
    channel_order_of,
    classes_of,
    normalisation_of,
)


def only(*nodes: onnx.NodeProto, **tensors: np.ndarray) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(v, k.replace("__", ".")) for k, v in tensors.items()]
    return helper.make_model(helper.make_graph(list(nodes), "graph", [], [], initializers))


def test_nodes_without_inputs_show_nothing() -> None:
    model = only(
        *(helper.make_node(kind, [], ["made"]) for kind in ("Gather", "Transpose")),
        helper.make_node("Cast", [], ["probabilities"]),
        helper.make_node("NonMaxSuppression", [], ["chosen"]),
    )
    assert (activation_of(model), classes_of(model), channel_order_of(model)) == (None, None, None)


def test_classes_are_those_of_the_last_suppression() -> None:
    """The first is of proposals, by the levels of a pyramid."""
    model = only(
        helper.make_node("NonMaxSuppression", ["proposals", "objectness"], ["proposed"]),
        helper.make_node("NonMaxSuppression", ["boxes", "scores"], ["chosen"]),
    )
    for name, classes in (("objectness", 5), ("scores", 4)):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", classes, "k"])
        model.graph.value_info.append(value)
    assert classes_of(model) == 4


def test_nodes_in_a_circle_are_left() -> None:
    model = only(
        helper.make_node("Identity", ["own"], ["probabilities"]),
        helper.make_node("Identity", ["probabilities"], ["own"]),
    )
    assert activation_of(model) is None


@pytest.mark.parametrize(
    ("scale", "shift"),
    [((2, 2), (2, 2)), ((0,), (1,)), ((3,), (1,)), ((4,), (4,))],
    ids=["a matrix", "nothing", "one for three", "four channels"],
)
def test_constants_of_other_shapes_show_no_normalisation(
    scale: tuple[int, ...], shift: tuple[int, ...]
) -> None:
    constants = {"normalise__scale": np.ones(scale, np.float32)}
    constants["normalise__shift"] = np.ones(shift, np.float32)
    assert normalisation_of(only(**constants), 255) is None


def test_constants_whose_bytes_are_no_numbers_show_no_normalisation() -> None:
    model = only(normalise__scale=np.ones(3, np.float32), normalise__shift=np.ones(3, np.float32))
    shown = normalisation_of(model, 255)
    assert shown is not None
    model.graph.initializer[0].raw_data = b"12345"
    assert normalisation_of(model, 255) is None
    model.graph.initializer[0].data_type = TensorProto.STRING
    assert normalisation_of(model, 255) is None
