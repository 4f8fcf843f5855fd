"""Untrained detectors that nevertheless find things, for tests that need many detections; and a
small graph."""

import copy
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from export.evaluation.photo_set import read_photos
from export.onnx.graph import Normalise
from export.parity.model import stack
from export.report import latency
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.faster_rcnn import FasterRCNN
from models.retinanet import RetinaNet, RetinaNetSettings
from models.variants import SHORTER_SIDE_800, VARIANTS, Variant, at_size
from models.weights import load_backbone
from tests.export.small import SPEC, small_graph


@pytest.fixture(scope="session", autouse=True)
def _brief_latency() -> Iterator[None]:
    """Reports time few runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "SECONDS", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _translations_are_read_once() -> Iterator[None]:
    """PyTorch's exporter parses its translations at each export, which is half of a small one's
    time; here each export gets a copy, to which it may add its own."""
    read = functools.cache(ONNXRegistry.from_torchlib)

    def copied(opset_version: int) -> ONNXRegistry:
        registry = copy.copy(read(opset_version))
        registry.functions = {key: list(found) for key, found in registry.functions.items()}
        return registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(copied))
        yield


# As the published RetinaNets, of which a photo takes tens of GFLOP, with fewer channels and layers.
SMALL_RETINANET = Variant(
    "detection",
    functools.partial(
        RetinaNet, RetinaNetSettings("resnet18", channels=32, head_depth=1, top="convolved P5")
    ),
    SHORTER_SIDE_800,
)
# The same on inputs of one size.
SQUARE_RETINANET = replace(SMALL_RETINANET, input=VARIANTS["retinanet_lite0"].input)
LABELS = tuple((i + 1, name) for i, name in enumerate(("person", "cat", "cup", "rocket")))
MEAN_LOGIT, LOGIT_SPREAD = -6.0, 1.5  # some hundred of 77,000 scores lie above .05
MEAN_LOGIT_AT_64 = -4.5  # at 64 pixels there are 3,000
CLASS_SPREAD = 2.0  # of a classifier's logits
RESIDUAL = 0.2  # of a residual branch: at 1, fifty random layers make noise of rounding errors


def make_detector(
    name: str, imagenet_weights: Path, photos: Path, seed: int = 3, size: int | None = None
) -> nn.Module:
    """ImageNet's features under random heads, scaled so that their scores differ from place to
    place as a trained detector's do; ``size`` is its input's, if not its own."""
    torch.manual_seed(seed)
    variant = VARIANTS[name] if size is None else at_size(VARIANTS[name], size)
    network = variant.build(len(LABELS))
    load_backbone(network, load_checkpoint(imagenet_weights).state, "")
    with torch.no_grad():
        features = network.backbone.eval()(read_images(variant, photos))
        for part in (network.pyramid, network.class_head, network.box_head):
            randomise(part)
        network.train().predict(features)
        spread_outputs(network.eval(), features)
    return network


@torch.no_grad()
def make_retinanet(
    variant: Variant, photos: Path, seed: int = 0, mean_logit: float = MEAN_LOGIT
) -> nn.Module:
    """The same on a ResNet, all of it random."""
    torch.manual_seed(seed)
    network = variant.build(len(LABELS))
    images = read_images(variant, photos)
    randomise(network.class_head)
    randomise(network.box_head)
    measure_norms(network.backbone, images)
    spread_outputs(network.eval(), network.backbone(images), mean_logit)
    return network


@torch.no_grad()
def make_faster_rcnn(variant: Variant, photos: Path, seed: int = 0) -> FasterRCNN:
    """The same in two stages: proposals first, then what is seen in them."""
    torch.manual_seed(seed)
    network = variant.build(len(LABELS))
    images = read_images(variant, photos)
    rpn, head = network.rpn.head, network.region_head
    randomise(rpn)
    randomise(head)
    measure_norms(network.backbone, images)
    network.eval()
    outputs = [rpn(level) for level in network.pyramid(network.backbone(images))]
    rescale(rpn.objectness, torch.cat([logits for logits, _ in outputs], dim=1), 0.0, 2.0)
    rescale(rpn.deltas, torch.cat([deltas for _, deltas in outputs], dim=1), 0.0, 0.3)
    logits, deltas, _, scores = network(images)
    rescale(head.logits, logits[scores > 0], 0.0, 1.5)
    head.logits.bias[0] += 3  # most of what is proposed is background
    rescale(head.deltas, deltas[scores > 0], 0.0, 1.0)
    return network


def read_images(variant: Variant, photos: Path) -> torch.Tensor:
    """The photos as one batch of the network's normalised input."""
    pixels = stack([p.pixels for p in read_photos(photos, variant.input)])
    return Normalise(variant.input)(torch.from_numpy(pixels))


def randomise(part: nn.Module) -> None:
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # statistics of all that it sees


def measure_norms(backbone: nn.Module, images: torch.Tensor) -> None:
    """Let a network's batch norms learn from ``images``, in one run in training mode."""
    norms = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    epsilons = [norm.eps for norm in norms]
    for block in backbone.modules():
        last = getattr(block, "bn3", getattr(block, "bn2", None))  # a ResNet's
        if last is not None:
            nn.init.constant_(last.weight, RESIDUAL)
    for norm in norms:
        norm.momentum, norm.eps = None, 1e-5  # no training with torchvision's 0
    backbone.train()(images)
    for norm, eps in zip(norms, epsilons, strict=True):
        norm.eps = eps
    backbone.eval()


def spread_outputs(
    network: nn.Module, features: list[torch.Tensor], mean_logit: float = MEAN_LOGIT
) -> None:
    """Bring a one-stage detector's outputs to the spread of a trained one's."""
    logits, deltas = network.predict(features)
    rescale(last_layer(network.class_head), logits, mean_logit, LOGIT_SPREAD)
    rescale(last_layer(network.box_head), deltas, 0.0, 0.3)


def spread_classes(classifier: nn.Module, images: torch.Tensor) -> None:
    """Let each class's logit vary from photo to photo, around 0: what is common to all photos would
    saturate if it were scaled up with their differences."""
    logits = classifier.eval()(images)  # [N, C]
    last = classifier.get_submodule(classifier.class_layer)
    common = logits.mean(dim=0)
    last.bias -= common
    rescale(last, logits - common, 0.0, CLASS_SPREAD)


def last_layer(head: nn.Module) -> nn.Conv2d:
    return getattr(head.predict, "pointwise", head.predict)


def rescale(
    layer: nn.Conv2d | nn.Linear, outputs: torch.Tensor, mean: float, spread: float
) -> None:
    """Make the outputs of ``layer`` have this mean and standard deviation."""
    factor = spread / outputs.std()
    layer.bias -= outputs.mean()
    layer.weight *= factor
    layer.bias.mul_(factor).add_(mean)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("efficientdet_lite0", marks=pytest.mark.full),
        pytest.param("retinanet_lite0", marks=pytest.mark.full),
        "retinanet_square",
    ],
)
def checkpoint(
    request: pytest.FixtureRequest,
    imagenet_weights: Path,
    photos: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A detector's checkpoint, named after its architecture."""
    name = request.param
    path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "retinanet_square", SQUARE_RETINANET)
        if name == "retinanet_square":
            variant = at_size(SQUARE_RETINANET, 128)
            network = make_retinanet(variant, photos, mean_logit=MEAN_LOGIT_AT_64)
        else:
            network = make_detector(name, imagenet_weights, photos)
        save_checkpoint(Checkpoint(network.state_dict(), name, LABELS), path)
        yield path


@pytest.fixture(scope="session")
def small() -> onnx.ModelProto:
    return small_graph(SPEC)
