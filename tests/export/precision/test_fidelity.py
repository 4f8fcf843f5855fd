"""Fidelity is how much of a float32 model's answers another graph gives."""

from pathlib import Path

import onnx
import pytest

from export.precision.fidelity import classifier_fidelity, detector_fidelity
from service.imaging.files import read_photo
from service.manifest import read_manifest


@pytest.mark.parametrize("name", ["efficientdet_lite0_voc", "efficientnet_lite0_imagenet"])
def test_a_model_is_faithful_to_itself_and_less_so_when_it_is_changed(
    name: str, store: Path, photos: Path
) -> None:
    folder = store / name / "1"
    manifest, model = read_manifest(folder / "manifest.json"), onnx.load(folder / "model.onnx")
    pixels = [read_photo(photos / f"{photo}.jpg", manifest.input) for photo in ("cat", "astronaut")]
    fidelity = (
        detector_fidelity(manifest, model, pixels)
        if manifest.task == "detection"
        else classifier_fidelity(model, pixels)
    )
    assert fidelity(model) == pytest.approx(1, abs=1e-3)
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(tensor) * 0.5
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert fidelity(model) < 0.95
