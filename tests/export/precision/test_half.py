"""float16: the network alone, and answers that stay close."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.evaluation.photo_set import read_photos
from export.onnx.nodes import insert_before
from export.parity.cases import Case
from export.parity.model import stack
from export.precision.half import to_half
from service.manifest import read_manifest
from tests.export.small import changed, run


def test_small_graph_answers_the_same(small: onnx.ModelProto, pixels: np.ndarray[Any, Any]) -> None:
    (before,), (after,) = run(small, images=pixels), run(to_half(small), images=pixels)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, atol=2e-3)


def test_network_is_in_half_and_the_rest_is_not(small: onnx.ModelProto) -> None:
    half = to_half(small)
    inferred = onnx.shape_inference.infer_shapes(half).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    assert types["normal"] == types["sum"] == types["logits"] == TensorProto.FLOAT16
    (softmax,) = (node for node in half.graph.node if node.op_type == "Softmax")
    assert types[softmax.input[0]] == TensorProto.FLOAT


@pytest.mark.parametrize("value", [1e6, -7e4])
def test_layer_whose_constants_float16_does_not_hold_stays_in_float32(
    small: onnx.ModelProto, pixels: np.ndarray[Any, Any], value: float
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(small)
    (bias,) = (t for t in model.graph.initializer if t.name == "network.classifier.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.array([0, value, 0, 0], np.float32), bias.name))
    half = to_half(model)
    names = {tensor.name for tensor in half.graph.initializer}
    assert "network.classifier.bias" in names
    assert "network.stem.conv.weight.half" in names
    (before,), (after,) = run(model, images=pixels), run(half, images=pixels)
    np.testing.assert_allclose(after, before, atol=2e-3)


@pytest.mark.parametrize("as_node", [False, True])
def test_number_that_keeps_a_division_from_one_by_zero_stays(
    small: onnx.ModelProto, pixels: np.ndarray[Any, Any], as_node: bool
) -> None:
    """0 / sqrt(0 + 1e-12), as a normalisation computes it of a blank image."""

    def divide(model: onnx.ModelProto) -> None:
        layer = next(node for node in model.graph.node if node.op_type == "Gemm")
        tensor = onnx.numpy_helper.from_array(np.array(1e-12, np.float32), "tiny")
        nodes = [
            helper.make_node("Sub", ["mean", "mean"], ["zero"], "zero"),
            helper.make_node("Add", ["zero", "tiny"], ["variance"], "guard"),
            helper.make_node("Sqrt", ["variance"], ["norm"], "root"),
            helper.make_node("Div", ["zero", "norm"], ["ratio"], "divide"),
            helper.make_node("Add", ["mean", "ratio"], ["same"], "add"),
        ]
        if as_node:
            nodes.insert(0, helper.make_node("Constant", [], ["tiny"], "tiny", value=tensor))
        else:
            model.graph.initializer.append(tensor)
        insert_before(model, layer, *nodes)
        layer.input[0] = "same"

    model = changed(small, divide)
    half = to_half(model)
    (before,), (after,) = run(model, images=pixels), run(half, images=pixels)
    np.testing.assert_allclose(after, before, atol=2e-3)
    inferred = onnx.shape_inference.infer_shapes(half).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    assert types["norm"] == TensorProto.FLOAT
    assert types["same"] == TensorProto.FLOAT16


@pytest.mark.parametrize("name", ["efficientdet_lite0_voc", "efficientnet_lite0_imagenet"])
def test_shipped_model_is_half_as_large_and_sees_the_same(
    name: str, store: Path, photos: Path
) -> None:
    folder = store / name / "1"
    manifest = read_manifest(folder / "manifest.json")
    model = onnx.load(folder / "model.onnx")
    half = to_half(model)
    assert half.ByteSize() < 0.55 * model.ByteSize()
    images = stack([photo.pixels for photo in read_photos(photos, manifest.input)])
    case = Case("photos", images, score_threshold=0.35)  # no score of theirs is near it
    feeds = case.feeds([tensor.name for tensor in manifest.inputs])
    for before, after in zip(run(model, **feeds), run(half, **feeds), strict=True):
        assert after.dtype == before.dtype
        tolerance = 0.5 if "boxes" in manifest.outputs[-1].name else 1.0
        np.testing.assert_allclose(after, before, atol=0.02 if before.max() <= 1 else tolerance)
