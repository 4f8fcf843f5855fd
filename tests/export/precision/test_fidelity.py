"""Fidelity is how much of a float32 model's answers another graph gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.precision.fidelity import FidelityError, classifier_fidelity, detector_fidelity
from service.imaging.files import read_photo
from service.manifest import read_manifest
from tests.export.small import SPEC, changed, photos_of


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


def test_where_the_float_model_finds_nothing_there_is_nothing_to_measure(
    store: Path, photos: Path
) -> None:
    folder = store / "efficientdet_lite0_voc" / "1"
    manifest, model = read_manifest(folder / "manifest.json"), onnx.load(folder / "model.onnx")
    gravel = read_photo(photos / "gravel.jpg", manifest.input)
    with pytest.raises(FidelityError, match=r"finds nothing above 0\.3 in any of 1 photos: give"):
        detector_fidelity(manifest, model, [gravel])


def test_independent_probabilities_agree_by_what_both_give(
    small: onnx.ModelProto, pixels: np.ndarray
) -> None:
    """Of a sigmoid's, which do not add up to 1, the figure is in 0..1 too."""

    def independent(model: onnx.ModelProto) -> None:
        (node,) = (node for node in model.graph.node if node.op_type == "Softmax")
        node.op_type = "Sigmoid"

    def less(model: onnx.ModelProto) -> None:
        independent(model)
        (bias,) = (t for t in model.graph.initializer if t.name == "network.classifier.bias")
        values = onnx.numpy_helper.to_array(bias) - 1
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))

    photos = photos_of(pixels, SPEC)
    fidelity = classifier_fidelity(changed(small, independent), photos)
    assert fidelity(changed(small, independent)) == pytest.approx(1)
    assert 0.3 < fidelity(changed(small, less)) < 0.95
