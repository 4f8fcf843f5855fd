"""The shipped packages on a GPU: `pytest -m gpu`, with onnxruntime-gpu in onnxruntime's place.

What holds for CUDA must hold for TensorRT, which is tried where this ONNX Runtime has it.
"""

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from service.imaging.images import decode_image
from service.imaging.resize import to_input
from service.package import ModelPackage, open_package
from service.providers import PROVIDERS
from service.repository.loader import batch_sizes
from service.runtime.sessions import Device
from tests.service.feeds import feeds_for

pytestmark = pytest.mark.gpu

CLASSIFIER = "efficientnet_lite0_imagenet"
DETECTOR = "efficientdet_lite0_voc"
SIZES = batch_sizes(8)


@pytest.fixture(scope="module", params=["cuda", "tensorrt"])
def device(request: pytest.FixtureRequest) -> Device:
    provider = PROVIDERS[request.param]
    if provider.name != "cuda" and provider.ort_name not in ort.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {provider.ort_name}")
    return Device((provider,))


def photos_for(package: ModelPackage, photos: Path, number: int) -> np.ndarray:
    files = sorted(photos.glob("*.jpg"))
    chosen = [files[i % len(files)] for i in range(number)]
    spec = package.manifest.input
    return np.stack([to_input(decode_image(f.read_bytes(), 10**8), spec).pixels for f in chosen])


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", [CLASSIFIER, DETECTOR])
def test_a_gpu_answers_as_the_cpu_does(
    device: Device, store: Path, photos: Path, name: str, number: int
) -> None:
    on_cpu = open_package(store / name / "1")
    on_gpu = open_package(store / name / "1", device=device, batches=SIZES)
    assert on_gpu.provider == device.providers[0].name
    feeds = feeds_for(on_cpu, photos_for(on_cpu, photos, number), score_threshold=0.2)
    expected, found = on_cpu.run(feeds), on_gpu.run(feeds)
    for output, values in expected.items():
        assert found[output].shape == values.shape, output
        if values.dtype == np.float32:
            np.testing.assert_allclose(found[output], values, rtol=1e-3, atol=1e-3, err_msg=output)
        else:
            np.testing.assert_array_equal(found[output], values, err_msg=output)


def test_a_filled_up_batch_gives_what_a_full_one_gives(
    device: Device, store: Path, photos: Path
) -> None:
    package = open_package(store / CLASSIFIER / "1", device=device, batches=(4,))
    images = photos_for(package, photos, 4)
    whole = package.run({"images": images})["probabilities"]
    part = package.run({"images": images[:3]})["probabilities"]
    np.testing.assert_allclose(part, whole[:3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [1, 3, 8])
def test_a_replayed_graph_gives_what_a_run_gives(
    device: Device, store: Path, photos: Path, number: int
) -> None:
    plain = open_package(store / CLASSIFIER / "1", device=device, batches=SIZES)
    recorded = open_package(
        store / CLASSIFIER / "1", device=dataclasses.replace(device, capture=True), batches=SIZES
    )
    images = photos_for(plain, photos, 8)
    for turn in range(3):  # the first is recorded, the others replay it with other photos
        feeds = {"images": np.roll(images, turn, axis=0)[:number]}
        np.testing.assert_allclose(
            recorded.run(feeds)["probabilities"],
            plain.run(feeds)["probabilities"],
            rtol=1e-4,
            atol=1e-5,
        )
