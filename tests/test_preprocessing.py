"""One pre-processing: training, export and service make the same pixels of a file, bit by bit."""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor, nn

from export.evaluation.photo_set import read_photos
from models.datasets.content import Annotations, ClassFolders, LabelledPhoto
from models.training.augment import Augment
from models.training.classification_task import ClassificationTask
from models.training.dataset import normalise
from models.training.detection_task import DetectionTask
from models.training.devices import Process
from models.training.recipe import Recipe
from models.variants import VARIANTS, at_size
from service.imaging.formats import SUFFIXES_OF
from service.imaging.input_spec import InputSpec, Stretch
from service.imaging.resize import ModelInput
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.decoder import Decoder
from service.inference.task import Job
from service.settings import Settings
from tests.models.datasets.objects import make_photo

CPU = Process(torch.device("cpu"))
CATEGORIES = ((0, "cat"),)
SMOOTH = {"antialias": True, "interpolation": "bicubic"}
INPUTS: dict[str, tuple[str, dict[str, Any]]] = {  # architecture, and what is changed of its input
    "letterbox": ("efficientdet_lite0", {}),
    "letterbox, bicubic": ("efficientdet_lite0", SMOOTH),
    "letterbox, centred": ("efficientdet_lite0", {"anchor": "centre", "fill": (114, 114, 114)}),
    "letterbox, without antialias": ("efficientdet_lite0", {"antialias": False}),
    "stretch": ("efficientdet_lite0", {"resize": "stretch"}),
    "stretch, without antialias": ("efficientdet_lite0", {"resize": "stretch", "antialias": False}),
    "shorter side, without antialias": ("retinanet_resnet18_fpn", {}),
    "shorter side, bicubic": ("retinanet_resnet18_fpn", SMOOTH),
    "centre crop, bicubic": ("efficientnet_lite0", {}),
    "centre crop, bilinear": ("resnet18", {}),
}


def noise(width: int = 70, height: int = 45, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze())


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return exif


FILES: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    **{f"plain{suffix}": (noise(), {}) for of in SUFFIXES_OF.values() for suffix in of},
    "turned.jpg": (noise(), {"exif": turned()}),
    "large.jpg": (noise(901, 1203), {"exif": turned()}),  # decoded smaller than it is
    "cmyk.jpg": (noise(channels=4).convert("CMYK"), {}),
    "grey.png": (noise(channels=1), {}),
    "16 bits.png": (Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54), {}),
    "transparent.png": (noise(channels=4), {}),
    "transparent.gif": (noise(channels=4).convert("P"), {"transparency": 0}),
    "narrow.png": (noise(3, 300), {}),
    "small.webp": (noise(5, 4), {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name, (image, options) in FILES.items():
        kind = next(k for k, suffixes in SUFFIXES_OF.items() if Path(name).suffix in suffixes)
        image.save(folder / name, kind, **options)
    return folder


@pytest.mark.parametrize("kind", INPUTS)
def test_training_export_and_service_see_the_same_pixels(folder: Path, kind: str) -> None:
    architecture, changes = INPUTS[kind]
    variant = at_size(VARIANTS[architecture], 96)
    spec = changed(variant.input, changes)
    paths = sorted(folder.iterdir())
    served = [serve(path.read_bytes(), spec) for path in paths]
    exported = read_photos(folder, spec)
    if variant.task == "detection":
        network = variant.build(1)
        trained = [detect(network, spec, path, x) for path, x in zip(paths, served, strict=True)]
    else:
        trained = [classify(spec, path) for path in paths]
    for path, own, other, seen in zip(paths, served, exported, trained, strict=True):
        np.testing.assert_array_equal(other.pixels, own.pixels, path.name)
        assert other.placement == own.placement
        pixels = torch.tensor(own.pixels)[None].permute(0, 3, 1, 2)
        expected = normalise(pixels, spec)
        torch.testing.assert_close(seen, expected, rtol=0, atol=0, msg=path.name)


def changed(spec: InputSpec, changes: dict[str, Any]) -> InputSpec:
    if changes.get("resize") != "stretch":
        return spec.model_copy(update=changes)
    return Stretch.model_validate({**spec.model_dump(exclude={"fill", "anchor"}), **changes})


def serve(content: bytes, spec: InputSpec) -> ModelInput:
    """With the settings that a service has unless it is told otherwise."""
    decoder = Decoder(spec, Settings(), lambda pixels: nullcontext(), threads=0)
    return decoder.decode(Job(content, None, RequestPolicy(Deadline.after(60))))


class Recorder(nn.Module):
    """Keeps what it is run on, and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        raise EOFError


def detect(network: nn.Module, spec: InputSpec, path: Path, served: ModelInput) -> Tensor:
    """What a detector is measured on in its training."""
    placed = served.placement
    photo = make_photo(1, path, (placed.width, placed.height), [(0, 0, 2, 2)], [0])
    data, recorder = Annotations((photo,), CATEGORIES), Recorder()
    task = DetectionTask(network, spec, Recipe(), CPU, data, data, Augment())
    with suppress(EOFError):
        task.detect(recorder, lambda number: None)
    return recorder.seen[0]


def classify(spec: InputSpec, path: Path) -> Tensor:
    """What a classifier is measured on in its training."""
    data, recorder = ClassFolders((LabelledPhoto(path, 0),), CATEGORIES), Recorder()
    task = ClassificationTask(spec, Recipe(), CPU, data, data)
    with suppress(EOFError):
        task.predict(recorder, lambda number: None)
    return recorder.seen[0]
