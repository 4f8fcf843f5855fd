"""The search keeps in float what wins fidelity back, and no more."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization.calibrate import TensorsData
from small import SPEC, in_float

from export.precision import sensitivity
from export.precision.calibration import Calibration, calibrate
from export.precision.preparation import prepare
from export.precision.quantisation import OPERATORS, Quantiser
from export.precision.sensitivity import search
from service.resize import ModelInput


@pytest.fixture(scope="module")
def prepared(small: onnx.ModelProto) -> onnx.ModelProto:
    return prepare(small, SPEC)


@pytest.fixture(scope="module")
def ranges(prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any]) -> TensorsData:
    photos = [ModelInput(image, None) for image in pixels]  # type: ignore[arg-type]
    return calibrate(prepared, OPERATORS, "classification", photos, Calibration("minmax"))


def test_layer_that_matters_is_kept(
    prepared: onnx.ModelProto, ranges: TensorsData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitivity, "MOST_IN_FLOAT", 0.5)
    found = search(
        Quantiser(prepared, ranges), lambda model: 0.9 if "stage" in in_float(model) else 0.6
    )
    assert found.in_float == ("stages.0",)
    assert (found.quantised, found.kept) == (0.6, 0.9)
    assert found.gains == pytest.approx({"stem": 0, "stages.0": 0.3, "classifier": 0})


def test_nothing_is_kept_where_nothing_is_won(
    prepared: onnx.ModelProto, ranges: TensorsData
) -> None:
    assert search(Quantiser(prepared, ranges), lambda model: 0.99).in_float == ()


def test_no_more_is_kept_than_allowed(
    prepared: onnx.ModelProto, ranges: TensorsData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitivity, "MOST_IN_FLOAT", 0.34)  # one layer of three
    found = search(Quantiser(prepared, ranges), lambda model: 0.5 + 0.15 * len(in_float(model)))
    assert len(found.in_float) == 1


def test_progress_reaches_its_end(prepared: onnx.ModelProto, ranges: TensorsData) -> None:
    seen: list[tuple[int, int]] = []
    search(Quantiser(prepared, ranges), lambda model: 0.5, lambda *progress: seen.append(progress))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
