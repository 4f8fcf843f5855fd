"""ResNet, written out a second time over its tensors."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models import resnet
from models.resnet import ResNet, ResNetBackbone
from tests.models.networks import State, norm, randomise


def naive_resnet(images: Tensor, state: State) -> list[Tensor]:
    """C2 to C5 by the names of torchvision's files."""
    x = F.conv2d(images, state["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(x, state, "bn1").relu(), 3, 2, 1)
    features = []
    for layer in (1, 2, 3, 4):
        block = 0
        while f"layer{layer}.{block}.conv1.weight" in state:
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            kernels = [
                state[f"{name}.conv{i}.weight"]
                for i in (1, 2, 3)
                if f"{name}.conv{i}.weight" in state
            ]
            strided = 1 if len(kernels) == 3 else 0  # the first 3x3
            out = x
            for i, kernel in enumerate(kernels):
                out = F.conv2d(
                    out,
                    kernel,
                    stride=stride if i == strided else 1,
                    padding=kernel.shape[-1] // 2,
                )
                out = norm(out, state, f"{name}.bn{i + 1}")
                out = out.relu() if i < len(kernels) - 1 else out
            if f"{name}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(x, state, f"{name}.downsample.1")
            x = (x + out).relu()
            block += 1
        features.append(x)
    return features


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18", (64, 128, 256, 512)), ("resnet50", (256, 512, 1024, 2048))],
)
def test_resnet_features_are_those_of_a_second_writing(
    name: str, channels: tuple[int, ...]
) -> None:
    backbone = randomise(ResNetBackbone(resnet.SETTINGS[name], levels=(2, 3, 4, 5)))
    images = torch.randn(1, 3, 64, 96)
    features = backbone(images)
    expected = naive_resnet(images, backbone.state_dict())
    assert backbone.feature_channels == channels
    shapes = [(1, c, 64 // s, 96 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(feature.shape) for feature in features] == shapes
    for feature, other in zip(features, expected, strict=True):
        torch.testing.assert_close(feature, other, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_resnet_gives_the_levels_that_are_asked_for() -> None:
    torch.manual_seed(0)
    whole = ResNetBackbone(resnet.SETTINGS["resnet18"], levels=(2, 3, 4, 5)).eval()
    images = torch.randn(1, 3, 32, 32)
    for levels in ((5,), (3, 4, 5)):
        part = ResNetBackbone(resnet.SETTINGS["resnet18"], levels=levels).eval()
        part.load_state_dict(whole.state_dict())
        assert len(part.feature_channels) == len(levels)
        for feature, other in zip(part(images), whole(images)[-len(levels) :], strict=True):
            torch.testing.assert_close(feature, other)


@torch.no_grad()
def test_resnet_classifies_by_the_mean_of_its_last_feature() -> None:
    network = randomise(ResNet(resnet.SETTINGS["resnet18"], 5))
    images = torch.randn(2, 3, 64, 32)
    last = naive_resnet(
        images, {k.removeprefix("backbone."): v for k, v in network.state_dict().items()}
    )[-1]
    pooled = last.flatten(2).sum(dim=2) / 2
    expected = pooled @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)
