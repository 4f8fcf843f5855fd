"""A detector and a classifier in the gate's hands, with photos for each."""

from pathlib import Path

import numpy as np
import pytest

from export.evaluation.photo_set import read_photos
from export.onnx.graph import build_graph
from export.parity.model import Feeds, Model, Outputs, onnx_model, torch_model
from models.variants import at_size
from service.package import open_package
from tests.export.conftest import MEAN_LOGIT_AT_64, SMALL_RETINANET, make_retinanet


@pytest.fixture(scope="session")
def detector(photos: Path) -> tuple[Model, list[np.ndarray]]:
    """An untrained RetinaNet at 64 pixels, which finds much, and its photos."""
    variant = at_size(SMALL_RETINANET, 64)
    pixels = [p.pixels for p in read_photos(photos, variant.input)]
    network = make_retinanet(variant, photos, mean_logit=MEAN_LOGIT_AT_64)
    return remembering(torch_model(build_graph(network, variant.input))), pixels


@pytest.fixture(scope="session")
def classifier(store: Path, photos: Path) -> tuple[Model, list[np.ndarray]]:
    package = open_package(store / "efficientnet_lite0_imagenet" / "1")
    return remembering(onnx_model(package.session)), [
        photo.pixels for photo in read_photos(photos, package.manifest.input)
    ]


def remembering(model: Model) -> Model:
    """``model``, which runs once on the same feeds: every test below has the same."""
    answers: dict[tuple[bytes, ...], Outputs] = {}

    def run(feeds: Feeds) -> Outputs:
        key = tuple(value.tobytes() for value in feeds.values())
        if key not in answers:
            answers[key] = model.run(feeds)
        return answers[key]

    return Model(model.name, run, model.inputs)
