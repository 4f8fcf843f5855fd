"""What is read of an ONNX file is what the onnx package reads."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from service.runtime.onnx_model import read_opset, read_weights
from tests.packages import CLASSIFIER


@pytest.fixture(scope="module")
def graph(store: Path) -> Path:
    return store / CLASSIFIER / "1" / "model.onnx"


def test_opset_is_the_one_that_onnx_reads(graph: Path) -> None:
    assert read_opset(graph) == onnx.load(graph).opset_import[0].version


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model at all")
    with pytest.raises(DecodeError):
        read_opset(tmp_path / "model.onnx")


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
