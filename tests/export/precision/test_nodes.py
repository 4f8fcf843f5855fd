"""Finding the network in a graph."""

import onnx

from export.precision.nodes import constants, drop_unused_constants, network_nodes, readers


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
