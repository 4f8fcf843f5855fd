"""Ranges are those of all photos, whatever their sizes."""

import numpy as np
import onnx
import pytest

from export.precision.calibration import METHODS, Calibration, calibrate
from tests.export.small import changed


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
    ranges = calibrate(varying, ["Conv"], feeds, calibration)
    low, high = (np.asarray(value).item() for value in ranges["normal"].range_value)
    assert (low, high) == pytest.approx(
        (-2.0, 2.0), abs=0.4 if calibration.method != "minmax" else 0.05
    )
