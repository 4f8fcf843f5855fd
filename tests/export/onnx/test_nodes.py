"""Finding the network in a graph."""

import onnx

from export.onnx.nodes import (
    constants,
    drop_unused_constants,
    drop_unused_nodes,
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
