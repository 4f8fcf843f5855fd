"""Finding the network in a graph."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.onnx.nodes import (
    constants,
    drop_unused_constants,
    drop_unused_nodes,
    lift_constants,
    makers,
    network_nodes,
    readers,
)


def test_network_ends_with_its_last_layer(small: onnx.ModelProto) -> None:
    everything = {node.name for node in small.graph.node}
    assert everything - network_nodes(small) == {"softmax"}


def test_readers_are_all_that_read_a_value(small: onnx.ModelProto) -> None:
    assert [node.name for node in readers(small)["pooled"]] == ["stage", "residual"]


def test_unused_constants_are_dropped_and_others_stay(small: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(small)
    model.graph.initializer.append(onnx.helper.make_tensor("nobody's", 1, [1], [0.0]))
    drop_unused_constants(model)
    assert constants(model).keys() == constants(small).keys()


def test_maker_is_the_node_that_a_value_comes_from(small: onnx.ModelProto) -> None:
    assert makers(small)["pooled"].name == "pool"
    assert "images" not in makers(small)


def test_nodes_that_lead_nowhere_are_dropped_with_their_constants(small: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(small)
    (output,) = model.graph.output
    output.name = "pooled"
    drop_unused_nodes(model)
    assert [node.name for node in model.graph.node][-1] == "pool"
    assert "network.stages.0.conv.weight" not in constants(model)
    drop_unused_nodes(whole := onnx.ModelProto.FromString(small.SerializeToString()))
    assert whole == small


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"value": numpy_helper.from_array(np.array([1, 2], np.int64))}, np.array([1, 2])),
        ({"value_float": 0.5}, np.float32(0.5)),
        ({"value_floats": [0.5, 1.5]}, np.array([0.5, 1.5], np.float32)),
        ({"value_int": 7}, np.int64(7)),
        ({"value_ints": [7]}, np.array([7])),
    ],
)
def test_constants_that_are_nodes_become_initializers(stated: dict, expected: np.ndarray) -> None:
    node = helper.make_node("Constant", [], ["c"], **stated)
    text = helper.make_node("Constant", [], ["t"], value_string="a")
    model = helper.make_model(helper.make_graph([node, text], "g", [], []))
    lift_constants(model)
    assert [node.output[0] for node in model.graph.node] == ["t"]
    found = constants(model)["c"]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def test_what_makes_and_cuts_out_regions_is_no_part_of_the_network() -> None:
    """Of a two-stage detector: boxes need more than 11 bits, see `half`."""
    make = helper.make_node
    nodes = [
        make("Conv", ["images", "w"], ["feature"], "backbone"),
        make("Relu", ["feature"], ["positive"], "activation"),
        make("Conv", ["positive", "w"], ["deltas"], "rpn"),
        make("Exp", ["deltas"], ["sides"], "decode"),
        make("NonMaxSuppression", ["sides", "sides"], ["kept"], "suppress"),
        make("GatherND", ["sides", "kept"], ["regions"], "gather"),
        make("RoiAlign", ["positive", "regions", "kept"], ["cut"], "cut"),
        make("Flatten", ["cut"], ["flat"], "flatten"),
        make("Gemm", ["flat", "w"], ["logits"], "head"),
        make("Softmax", ["logits"], ["probabilities"], "softmax"),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert network_nodes(model) == {"backbone", "activation", "rpn", "flatten", "head"}
