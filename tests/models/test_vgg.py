"""VGG, written out a second time over its tensors."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models import vgg
from models.vgg import VGG, VGGBackbone
from tests.models.networks import build, norm, randomise

VGG_CONVOLUTIONS = {  # places in torchvision's `features`
    "vgg11": [0, 3, 6, 8, 11, 13, 16, 18],
    "vgg11_bn": [0, 4, 8, 11, 15, 18, 22, 25],
    "vgg13": [0, 2, 5, 7, 10, 12, 15, 17, 20, 22],
    "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    "vgg16_bn": [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40],
    "vgg19": [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
}


@pytest.mark.parametrize("name", VGG_CONVOLUTIONS)
def test_vggs_convolutions_have_the_published_numbers(name: str) -> None:
    features = build(name, 10).backbone.features
    places = [i for i, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    assert places == VGG_CONVOLUTIONS[name]


@torch.no_grad()
@pytest.mark.parametrize("batch_norm", [False, True])
def test_vggs_feature_is_that_of_a_second_writing(batch_norm: bool) -> None:
    backbone = randomise(VGGBackbone(vgg.DEPTHS["vgg11"], batch_norm))
    state = backbone.state_dict()
    images = torch.randn(1, 3, 64, 32)
    x = images
    places = VGG_CONVOLUTIONS["vgg11_bn" if batch_norm else "vgg11"]
    for number, place in enumerate(places):
        name = f"features.{place}"
        x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        x = (norm(x, state, f"features.{place + 1}") if batch_norm else x).relu()
        if number in (0, 1, 3, 5, 7):  # the ends of the five groups
            x = F.max_pool2d(x, 2)
    (feature,) = backbone(images)
    assert feature.shape == (1, 512, 2, 1)
    assert backbone.feature_channels == (512,)
    torch.testing.assert_close(feature, x, atol=1e-4, rtol=1e-4)


def test_vgg_classifies_inputs_of_other_sizes() -> None:
    network = build("vgg16", 10)
    with torch.device("meta"):
        shapes = {tuple(network(torch.zeros(2, 3, s, s)).shape) for s in (64, 224, 320)}
    assert shapes == {(2, 10)}


@torch.no_grad()
def test_vggs_hidden_layers_read_seven_by_seven_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 64 pixels the feature is 2 x 2, of which 7 x 7 are made by repeating cells."""
    monkeypatch.setattr(vgg, "HIDDEN", 8)
    torch.manual_seed(0)
    network = VGG(vgg.DEPTHS["vgg11"], False, 4).eval()
    images = torch.randn(1, 3, 64, 64)
    (feature,) = network.backbone(images)
    rows = [feature[0, :, i * 2 // 7 : -(-(i + 1) * 2 // 7)].mean(dim=1) for i in range(7)]
    cells = [
        [row[:, j * 2 // 7 : -(-(j + 1) * 2 // 7)].mean(dim=1) for j in range(7)] for row in rows
    ]
    x = torch.stack([torch.stack(line, dim=-1) for line in cells], dim=-2).reshape(-1)  # C, H, W
    first, second, last = (network.classifier[i] for i in (0, 3, 6))
    x = (first.weight @ x + first.bias).relu()
    x = (second.weight @ x + second.bias).relu()
    expected = last.weight @ x + last.bias
    torch.testing.assert_close(network(images)[0], expected, atol=1e-4, rtol=1e-4)
