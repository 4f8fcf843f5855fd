"""What is read of an ONNX file is what the onnx package reads."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from service.runtime.onnx_model import (
    PARTS_WITH_TENSORS,
    ExternalDataError,
    check_self_contained,
    opset_of,
    read_model,
    read_weights,
)
from tests.packages import CLASSIFIER


@pytest.fixture(scope="module")
def graph(store: Path) -> Path:
    return store / CLASSIFIER / "1" / "model.onnx"


def test_opset_is_the_one_that_onnx_reads(graph: Path) -> None:
    assert opset_of(read_model(graph.read_bytes())) == onnx.load(graph).opset_import[0].version


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DecodeError):
        read_model(b"no model at all")


def test_weights_are_those_that_onnx_reads(graph: Path) -> None:
    expected = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(graph).graph.initializer
        if len(tensor.raw_data) >= 1000
    }
    found = dict(read_weights(graph.read_bytes(), 1000))
    assert found.keys() == expected.keys()
    assert len(found) > 50
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_what_is_not_plain_bytes_is_passed_over() -> None:
    tensors = [
        numpy_helper.from_array(np.arange(6, dtype=np.int8).reshape(2, 3), "plain"),
        numpy_helper.from_array(np.arange(2, dtype=np.int8), "small"),
        helper.make_tensor("listed", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]),
        numpy_helper.from_array(np.array(["words"] * 9, dtype=object), "text"),
        numpy_helper.from_array(np.ones(8, bool), "flags"),
    ]
    model = helper.make_model(helper.make_graph([], "weights", [], [], tensors))
    found = dict(read_weights(model.SerializeToString(), 6))
    assert list(found) == ["plain"]
    assert found["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]


def outside(name: str = "outside", *, marked: bool = True) -> onnx.TensorProto:
    """A tensor whose values are the first bytes of weights.bin."""
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2])
    tensor.external_data.add(key="location", value="weights.bin")
    if marked:
        tensor.data_location = TensorProto.EXTERNAL
    return tensor


def sparse(**parts: onnx.TensorProto) -> onnx.SparseTensorProto:
    inside = numpy_helper.from_array(np.zeros(2, np.float32), "inside")
    return onnx.SparseTensorProto(**{"values": inside, "indices": inside, **parts}, dims=[2])


def constant(**attribute: object) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["made"], **attribute)


def branch(*nodes: onnx.NodeProto, **parts: list) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [], **parts)


def only(*nodes: onnx.NodeProto, **parts: list) -> onnx.ModelProto:
    return helper.make_model(branch(*nodes, **parts))


def with_function(function: onnx.FunctionProto) -> onnx.ModelProto:
    return helper.make_model(branch(), functions=[function])


def with_training(**parts: onnx.GraphProto) -> onnx.ModelProto:
    model = only()
    model.training_info.add(**parts)
    return model


NESTED = helper.make_node(
    "If", ["x"], ["y"], then_branch=branch(), else_branch=branch(constant(value=outside()))
)
FUNCTION = helper.make_function("own", "F", [], ["made"], [constant(value=outside())], [])
DEFAULTS = helper.make_function("own", "F", [], [], [], [])
DEFAULTS.attribute_proto.append(helper.make_attribute("value", outside()))


@pytest.mark.parametrize(
    "model",
    [
        only(initializer=[outside()]),
        only(initializer=[outside(marked=False)]),
        only(sparse_initializer=[sparse(values=outside())]),
        only(sparse_initializer=[sparse(indices=outside())]),
        only(constant(value=outside())),
        only(constant(sparse_value=sparse(values=outside()))),
        only(constant(several=[outside(), outside()])),
        only(constant(several=[sparse(indices=outside())])),
        only(NESTED),
        only(helper.make_node("If", ["x"], ["y"], then_branch=branch(NESTED))),
        only(helper.make_node("If", ["x"], ["y"], branches=[branch(initializer=[outside()])])),
        with_function(FUNCTION),
        with_function(DEFAULTS),
        with_training(algorithm=branch(initializer=[outside()])),
        with_training(initialization=branch(constant(value=outside()))),
        only(helper.make_node("EPContext", [], ["made"], domain="com.microsoft")),
    ],
    ids=[
        "an initializer",
        "one without the mark",
        "a sparse initializer's values",
        "a sparse initializer's indices",
        "a constant",
        "a sparse constant",
        "an attribute of tensors",
        "an attribute of sparse tensors",
        "a branch",
        "a branch of a branch",
        "an attribute of graphs",
        "a function",
        "a function's defaults",
        "a training step",
        "a training start",
        "a provider's compiled graph",
    ],
)
def test_external_data_is_found_wherever_it_is(model: onnx.ModelProto) -> None:
    content = model.SerializeToString()
    for read in (read_model(content), onnx.load_from_string(content)):
        with pytest.raises(ExternalDataError, match=r"in another file: (outside|made)"):
            check_self_contained(read)


def test_every_message_with_tensors_is_looked_through() -> None:
    """onnx.proto as it is installed has no place for a tensor that is not looked at."""
    holders = {"TensorProto"}
    messages = onnx.ModelProto.DESCRIPTOR.file.message_types_by_name
    while True:
        more = {
            name
            for name, message in messages.items()
            if any(f.message_type and f.message_type.name in holders for f in message.fields)
        }
        if more <= holders:
            break
        holders |= more
    expected = {
        name.removesuffix("Proto"): {
            field.name
            for field in messages[name].fields
            if field.message_type and field.message_type.name in holders
        }
        for name in holders - {"TensorProto"}
    }
    assert {kind: set(parts) for kind, parts in PARTS_WITH_TENSORS.items()} == expected


def test_models_in_one_file_pass(graph: Path) -> None:
    check_self_contained(read_model(graph.read_bytes()))
    check_self_contained(onnx.load(graph))
