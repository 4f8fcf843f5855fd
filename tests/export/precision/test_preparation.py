"""A graph that is ready for 8 bits gives the answers that it gave before."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from export.onnx.nodes import insert_before, readers
from export.precision.preparation import prepare
from service.imaging.input_spec import Letterbox
from service.manifest import read_manifest
from tests.export.small import SPEC, changed, operators, run, small_graph


def test_answers_stay(small: onnx.ModelProto, pixels: np.ndarray[Any, Any]) -> None:
    (before,), (after,) = run(small, images=pixels), run(prepare(small, SPEC), images=pixels)
    np.testing.assert_allclose(after, before, atol=2e-3)  # half a grey level at the border


def test_answers_stay_exactly_where_the_zero_point_is_whole(pixels: np.ndarray[Any, Any]) -> None:
    spec = SPEC.model_copy(update={"mean": (0.2, 0.2, 0.2)})  # 51 grey levels
    model = small_graph(spec)
    (before,), (after,) = run(model, images=pixels), run(prepare(model, spec), images=pixels)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_pixels_reach_the_first_layer_as_8_bits(small: onnx.ModelProto) -> None:
    found = operators(prepare(small, SPEC))
    assert found[:3] == ["Transpose", "DequantizeLinear", "Conv"]
    assert "Cast" not in found


def test_pads_become_the_poolings_own(small: onnx.ModelProto) -> None:
    prepared = prepare(small, SPEC)
    assert "Pad" not in operators(prepared)
    (pool,) = (node for node in prepared.graph.node if node.op_type == "MaxPool")
    (pads,) = (a.ints for a in pool.attribute if a.name == "pads")
    assert list(pads) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "change", [{"mean": (0.5, 0.4, 0.5)}, {"std": (0.2, 0.2, 0.3)}], ids=["means", "deviations"]
)
def test_channels_that_differ_are_normalised_in_float(
    change: dict[str, Any], pixels: np.ndarray[Any, Any]
) -> None:
    spec = Letterbox.model_validate({**SPEC.model_dump(), **change})
    model = small_graph(spec)
    prepared = prepare(model, spec)
    assert operators(prepared)[:4] == ["Transpose", "Cast", "Mul", "Add"]
    np.testing.assert_allclose(
        run(prepared, images=pixels)[0], run(model, images=pixels)[0], atol=1e-6
    )


@pytest.mark.parametrize("mean", [127.5, 96.0])
def test_grey_levels_that_are_not_scaled_are_read_as_8_bits(
    mean: float, pixels: np.ndarray[Any, Any]
) -> None:
    spec = SPEC.model_copy(update={"scale": 1.0, "mean": (mean,) * 3, "std": (64.0,) * 3})
    model = small_graph(spec)
    prepared = prepare(model, spec)
    assert operators(prepared)[:3] == ["Transpose", "DequantizeLinear", "Conv"]
    before, after = run(model, images=pixels)[0], run(prepared, images=pixels)[0]
    np.testing.assert_allclose(after, before, atol=1e-2)  # the border's, of half a grey level


def test_mean_that_is_no_grey_level_is_subtracted_in_float(pixels: np.ndarray[Any, Any]) -> None:
    spec = SPEC.model_copy(update={"mean": (-0.5,) * 3})
    prepared = prepare(small_graph(spec), spec)
    assert "DequantizeLinear" not in operators(prepared)


@pytest.mark.parametrize("place", [1, 2], ids=["weights", "bias"])
def test_a_first_layer_whose_weights_are_computed_reads_floats(
    small: onnx.ModelProto, pixels: np.ndarray[Any, Any], place: int
) -> None:
    """As in a graph that another tool made; nothing can be folded into them."""

    def compute(model: onnx.ModelProto) -> None:
        [stem] = (node for node in model.graph.node if node.name == "stem")
        made = (
            helper.make_node("Cast", ["images"], ["levels"], "levels", to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["levels"], ["level"], "level", keepdims=0),
            helper.make_node("Sigmoid", ["level"], ["factor"], "factor"),
            helper.make_node("Mul", [stem.input[place], "factor"], ["computed"], "compute"),
        )
        insert_before(model, stem, *made)
        stem.input[place] = "computed"

    model = changed(small, compute)
    prepared = prepare(model, SPEC)
    assert "DequantizeLinear" not in operators(prepared)
    before, after = run(model, images=pixels)[0], run(prepared, images=pixels)[0]
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize("name", ["efficientdet_lite0_voc", "efficientnet_lite0_imagenet"])
def test_shipped_models_are_read_as_8_bits(name: str, store: Path) -> None:
    folder = store / name / "1"
    spec = read_manifest(folder / "manifest.json").input
    prepared = prepare(onnx.load(folder / "model.onnx"), spec)
    (first,) = (node for node in prepared.graph.node if node.op_type == "DequantizeLinear")
    following = readers(prepared)
    assert [node.op_type for node in following[first.output[0]]] == ["Conv"]
    pads = (node for node in prepared.graph.node if node.op_type == "Pad")
    assert "MaxPool" not in {node.op_type for pad in pads for node in following[pad.output[0]]}


def test_given_graph_is_left_as_it_was(small: onnx.ModelProto) -> None:
    before = small.SerializeToString()
    prepare(small, SPEC)
    assert small.SerializeToString() == before
