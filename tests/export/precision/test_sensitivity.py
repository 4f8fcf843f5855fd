"""The search keeps in float what wins fidelity back, and no more."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization.calibrate import TensorsData

from export.precision import sensitivity
from export.precision.calibration import Calibration, calibrate
from export.precision.fidelity import classifier_fidelity
from export.precision.quantisation import Quantiser, layers, quantised_values
from export.precision.sensitivity import search
from service.imaging.resize import ModelInput
from tests.export.small import in_float


def photos_of(pixels: np.ndarray[Any, Any]) -> list[ModelInput]:
    return [ModelInput(image, None) for image in pixels]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ranges(prepared: onnx.ModelProto, pixels: np.ndarray[Any, Any]) -> TensorsData:
    feeds = [{"images": image[None]} for image in pixels]
    return calibrate(prepared, quantised_values(prepared), feeds, Calibration("minmax"))


def test_layer_that_matters_is_kept(
    prepared: onnx.ModelProto, ranges: TensorsData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitivity, "MAX_IN_FLOAT", 0.5)
    found = search(
        Quantiser(prepared, ranges), lambda model: 0.9 if "stage" in in_float(model) else 0.6, 0.6
    )
    assert found.in_float == ("stages.0",)
    assert found.fidelity == 0.9


def test_nothing_is_kept_where_nothing_is_won(
    prepared: onnx.ModelProto, ranges: TensorsData
) -> None:
    assert search(Quantiser(prepared, ranges), lambda model: 0.99, 0.99).in_float == ()


def test_no_more_is_kept_than_allowed(
    prepared: onnx.ModelProto, ranges: TensorsData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitivity, "MAX_IN_FLOAT", 0.34)  # one layer of three
    found = search(
        Quantiser(prepared, ranges), lambda model: 0.5 + 0.15 * len(in_float(model)), 0.5
    )
    assert len(found.in_float) == 1


def test_progress_reaches_its_end(prepared: onnx.ModelProto, ranges: TensorsData) -> None:
    seen: list[tuple[int, int]] = []
    quantiser = Quantiser(prepared, ranges)
    search(quantiser, lambda model: 0.5, 0.5, lambda *progress: seen.append(progress))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_no_graph_is_measured_twice(
    prepared: onnx.ModelProto,
    ranges: TensorsData,
    small: onnx.ModelProto,
    pixels: np.ndarray[Any, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the small graph's own answers: each layer alone, then those that are kept with others."""
    monkeypatch.setattr(sensitivity, "MAX_IN_FLOAT", 1)
    monkeypatch.setattr(sensitivity, "MIN_GAIN", -1e3)
    fidelity = classifier_fidelity(small, photos_of(pixels))
    measured: list[frozenset[str]] = []

    def counted(model: onnx.ModelProto) -> float:
        measured.append(frozenset(in_float(model)))
        return fidelity(model)

    quantiser = Quantiser(prepared, ranges)
    quantised = fidelity(quantiser.quantise())
    found = search(quantiser, counted, quantised)
    assert measured[:3] == [{"stem"}, {"stage"}, {"classify"}]
    assert all(len(together) > 1 for together in measured[3:])
    assert len(set(measured)) == len(measured) > 3
    kept = [node for group in found.in_float for node in layers(prepared)[group]]
    assert found.fidelity == fidelity(quantiser.quantise(kept)) > quantised
