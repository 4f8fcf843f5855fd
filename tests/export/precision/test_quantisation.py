"""8 bits: what is in integers, what is not, and how close the answers stay."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization.calibrate import TensorsData

from export.precision.calibration import METHODS, Calibration, calibrate
from export.precision.quantisation import Quantiser, layers, quantised_values
from tests.export.small import in_float, run


def ranges_of(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any], calibration: Calibration
) -> TensorsData:
    feeds = [{"images": image[None]} for image in pixels]
    return calibrate(prepared, quantised_values(prepared), feeds, calibration)


@pytest.mark.parametrize("calibration", METHODS, ids=str)
def test_answers_stay_close(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any], calibration: Calibration
) -> None:
    model = Quantiser(prepared, ranges_of(prepared, pixels, calibration)).quantise()
    (before,), (after,) = run(prepared, images=pixels), run(model, images=pixels)
    assert 0 < np.abs(after - before).max() < 0.1


def test_percentile_cuts_what_minmax_keeps(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any]
) -> None:
    everything = ranges_of(prepared, pixels, Calibration("minmax"))
    most = ranges_of(prepared, pixels, Calibration("percentile", 90))
    assert most["sum"].range_value[1] < everything["sum"].range_value[1]


def test_layers_are_named_after_their_modules(prepared: onnx.ModelProto) -> None:
    assert layers(prepared) == {
        "stem": ["stem"],
        "stages.0": ["stage"],
        "classifier": ["classify"],
    }


def test_convolutions_run_as_integers(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any], tmp_path: Any
) -> None:
    ranges = ranges_of(prepared, pixels, Calibration("minmax"))
    assert integer_layers(Quantiser(prepared, ranges).quantise(), tmp_path) == 2


def test_layers_kept_in_float_keep_their_weights(
    prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any]
) -> None:
    ranges = ranges_of(prepared, pixels, Calibration("minmax"))
    assert in_float(Quantiser(prepared, ranges).quantise()) == set()
    assert in_float(Quantiser(prepared, ranges).quantise(["stage"])) == {"stage"}


def integer_layers(model: onnx.ModelProto, folder: Any) -> int:
    """Convolutions that ONNX Runtime fuses into kernels for integers."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "fused.onnx")
    ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    fused = onnx.load(folder / "fused.onnx")
    return sum(node.op_type == "QLinearConv" for node in fused.graph.node)
