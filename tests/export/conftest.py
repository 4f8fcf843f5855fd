"""An untrained detector that nevertheless finds things, for tests that need many detections."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export.graph import Normalise
from export.photos import read_photos
from models.variants import VARIANTS
from models.weights import Checkpoint, load_backbone, load_checkpoint, save_checkpoint
from service.manifest import InputSpec

LABELS = tuple((i + 1, name) for i, name in enumerate(("person", "cat", "cup", "rocket")))
MEAN_LOGIT, LOGIT_SPREAD = -6.0, 1.5  # some hundred of 77,000 scores lie above .05


def make_detector(name: str, imagenet_weights: Path, photos: Path, seed: int = 3) -> nn.Module:
    """ImageNet's features under random heads, scaled so that their scores differ from place to
    place as a trained detector's do."""
    torch.manual_seed(seed)
    variant = VARIANTS[name]
    network = variant.build(len(LABELS))
    load_backbone(network, load_checkpoint(imagenet_weights).state, "")
    for module in (network.pyramid, network.class_head, network.box_head):
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # statistics of all that it sees
    spec = InputSpec(**vars(variant.input))
    pixels = np.stack([photo.pixels for photo in read_photos(photos, spec)])
    with torch.no_grad():
        images = Normalise(variant.input)(torch.from_numpy(pixels))
        features = network.backbone.eval()(images)
        network.train().predict(features)
        logits, deltas = network.eval().predict(features)
        rescale(last_layer(network.class_head), logits, MEAN_LOGIT, LOGIT_SPREAD)
        rescale(last_layer(network.box_head), deltas, 0.0, 0.3)
    return network


def last_layer(head: nn.Module) -> nn.Conv2d:
    return getattr(head.predict, "pointwise", head.predict)


def rescale(layer: nn.Conv2d, outputs: torch.Tensor, mean: float, spread: float) -> None:
    """Make the outputs of ``layer`` have this mean and standard deviation."""
    factor = spread / outputs.std()
    layer.bias -= outputs.mean()
    layer.weight *= factor
    layer.bias.mul_(factor).add_(mean)


@pytest.fixture(scope="module", params=["efficientdet_lite0", "retinanet_lite0"])
def checkpoint(
    request: pytest.FixtureRequest,
    imagenet_weights: Path,
    photos: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A detector's checkpoint, named after its architecture."""
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.pth"
    state = make_detector(request.param, imagenet_weights, photos).state_dict()
    save_checkpoint(Checkpoint(state, request.param, LABELS), path)
    return path
