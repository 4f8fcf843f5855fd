"""Ranges are those of all photos, whatever their sizes."""

import numpy as np
import onnx
import pytest
from onnx import helper

from export.onnx.nodes import insert_before
from export.precision.calibration import METHODS, Calibration, calibrate
from export.precision.preparation import prepare
from export.precision.quantisation import quantised_values
from tests.export.small import SPEC, changed


@pytest.fixture(scope="module")
def varying(small: onnx.ModelProto) -> onnx.ModelProto:
    """The small graph for inputs of any size."""

    def free(model: onnx.ModelProto) -> None:
        for axis, name in ((1, "H"), (2, "W")):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name

    return changed(small, free)


@pytest.mark.parametrize("calibration", METHODS, ids=str)
def test_photos_of_several_sizes_have_one_range(
    varying: onnx.ModelProto, calibration: Calibration
) -> None:
    """The brightest pixel is in the last and smallest photo, -0.5 and +0.5 over .25 its range."""
    shapes, levels = [(16, 24), (24, 16), (8, 8)], [(128, 140), (0, 120), (250, 256)]
    rng = np.random.default_rng(0)
    feeds = [
        {"images": rng.integers(*level, (1, *shape, 3), dtype=np.uint8)}
        for level, shape in zip(levels, shapes, strict=True)
    ]
    ranges = calibrate(varying, ["normal"], feeds, calibration)
    low, high = (np.asarray(value).item() for value in ranges["normal"].range_value)
    assert (low, high) == pytest.approx(
        (-2.0, 2.0), abs=0.4 if calibration.method != "minmax" else 0.05
    )


@pytest.mark.parametrize("calibration", METHODS, ids=str)
def test_infinities_after_the_network_have_no_range(
    small: onnx.ModelProto, pixels: np.ndarray, calibration: Calibration
) -> None:
    """As two stages pad the scores of a level that has few proposals."""

    def pad(model: onnx.ModelProto) -> None:
        softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
        values = {"one": np.array([0, 0, 0, 1]), "never": np.array(-np.inf, np.float32)}
        for name, value in values.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        node = helper.make_node("Pad", ["logits", *values], ["padded.logits"], "pad_logits")
        insert_before(model, softmax, node)
        softmax.input[0] = "padded.logits"
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value += 1

    prepared = prepare(changed(small, pad), SPEC)
    values = quantised_values(prepared)
    ranges = calibrate(prepared, values, [{"images": pixels}], calibration)
    assert {"logits", "sum"} <= set(ranges.keys()) <= values
    assert "padded.logits" not in values
    assert all(np.isfinite(found.range_value).all() for found in ranges.values())
