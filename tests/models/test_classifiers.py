"""Published sizes of the classifiers, and the parts of EfficientNet by hand."""

import math

import pytest
import torch
from torch import nn

from models import efficientnet
from models.efficientnet import (
    ConvNorm,
    EfficientNetBackbone,
    SqueezeExcite,
    round_channels,
    scale_stages,
)
from tests.models.networks import build, count, randomise


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("vgg11", 132_863_336),
        ("vgg11_bn", 132_868_840),
        ("vgg13", 133_047_848),
        ("vgg16", 138_357_544),
        ("vgg16_bn", 138_365_992),
        ("vgg19_bn", 143_678_248),
        ("efficientnet_b0", 5_288_548),
        ("tf_efficientnet_b0", 5_288_548),
        ("efficientnet_b1", 7_794_184),
        ("efficientnet_b2", 9_109_994),
        ("efficientnet_b3", 12_233_232),
        ("efficientnet_b4", 19_341_616),
        ("efficientnet_b5", 30_389_784),
        ("efficientnet_b6", 43_040_704),
        ("efficientnet_b7", 66_347_960),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
        ("efficientnet_lite3", 8_197_096),
        ("efficientnet_lite4", 13_006_568),
    ],
)
def test_classifier_has_the_published_number_of_parameters(name: str, parameters: int) -> None:
    assert count(build(name, 1000)) == parameters


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("tf_efficientdet_d0", 90, 3_880_067),
        ("tf_efficientdet_d7x", 90, 77_147_166),
        ("efficientdet_d0", 90, 3_877_763),
        ("retinanet_resnet50_fpn_v2", 91, 38_198_935),
        # torchvision counts these two without their batch norms, which it froze
        ("retinanet_resnet50_fpn", 91, 34_014_999 + 53_120),
        ("fasterrcnn_resnet50_fpn", 90, 41_755_286 + 53_120),
    ],
)
def test_detector_has_the_published_number_of_parameters(
    name: str, classes: int, parameters: int
) -> None:
    assert count(build(name, classes)) == parameters


def test_squeeze_and_excitation_by_hand() -> None:
    """Two channels of means 2 and 4, squeezed to one: 2 · .5 - 4 · .25 + .5 = .5."""
    layer = SqueezeExcite(2, 1)
    with torch.no_grad():
        layer.reduce.weight.copy_(torch.tensor([0.5, -0.25]).reshape(1, 2, 1, 1))
        layer.reduce.bias.fill_(0.5)
        layer.expand.weight.copy_(torch.tensor([2.0, -3.0]).reshape(2, 1, 1, 1))
        layer.expand.bias.copy_(torch.tensor([0.1, 0.2]))
    x = torch.tensor([[[[1.0, 3], [0, 4]], [[4.0, 4], [2, 6]]]])
    swish = 0.5 / (1 + math.exp(-0.5))
    first = 1 / (1 + math.exp(-(2 * swish + 0.1)))
    second = 1 / (1 + math.exp(-(-3 * swish + 0.2)))
    expected = x * torch.tensor([first, second]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(layer(x).detach(), expected)


def test_squeeze_and_excitation_looks_at_each_image_alone() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcite(4, 2)
    x = torch.randn(3, 4, 5, 6)
    torch.testing.assert_close(layer(x), torch.cat([layer(image[None]) for image in x]))


@pytest.mark.parametrize(
    ("name", "channels", "depths", "stem", "head"),
    [
        ("efficientnet_b0", [16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1], 32, 1280),
        ("efficientnet_b4", [24, 32, 56, 112, 160, 272, 448], [2, 4, 4, 6, 6, 8, 2], 48, 1792),
        ("efficientnet_b7", [32, 48, 80, 160, 224, 384, 640], [4, 7, 7, 10, 10, 13, 4], 64, 2560),
        ("efficientnet_lite4", [24, 32, 56, 112, 160, 272, 448], [1, 4, 4, 6, 6, 8, 1], 32, 1280),
    ],
)
def test_compound_scaling_gives_the_published_widths_and_depths(
    name: str, channels: list[int], depths: list[int], stem: int, head: int
) -> None:
    stages = scale_stages(efficientnet.SCALINGS[name])
    assert [stage.channels for stage in stages] == channels
    assert [stage.repeats for stage in stages] == depths
    network = build(name, 10)
    assert network.backbone.stem.conv.out_channels == stem
    assert network.classifier.in_features == head
    assert network.backbone.feature_channels == (channels[2], channels[4], channels[6])


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1, 8), (12, 16), (17.6, 16), (19.2, 24), (22.4, 24), (35.2, 32), (88, 88)],
)
def test_channels_are_rounded_to_the_nearest_eight(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


def test_channels_are_never_rounded_down_by_more_than_a_tenth() -> None:
    """8 would be the nearest to 11, but is 27 % below it; 40 is 8.9 % below 43.9."""
    assert [round_channels(channels) for channels in (11, 43.9)] == [16, 40]


def test_blocks_squeeze_to_a_quarter_of_their_inputs_channels() -> None:
    stages = EfficientNetBackbone(efficientnet.SCALINGS["efficientnet_b0"]).stages
    squeezed = [stages[s][b].squeeze.reduce.out_channels for s, b in ((0, 0), (1, 0), (1, 1))]
    assert squeezed == [8, 4, 6]  # of 32, 16 and 24, whatever they are expanded to
    assert stages[1][0].squeeze.reduce.in_channels == 96


def test_lite_variants_have_neither_squeeze_and_excitation_nor_swish() -> None:
    kinds = {type(module) for module in build("efficientnet_lite0", 10).modules()}
    assert nn.ReLU6 in kinds
    assert not kinds & {SqueezeExcite, nn.SiLU}
    kinds = {type(module) for module in build("efficientnet_b0", 10).modules()}
    assert kinds >= {SqueezeExcite, nn.SiLU}
    assert nn.ReLU6 not in kinds


@pytest.mark.parametrize(
    ("name", "same", "eps", "momentum"),
    [
        ("efficientnet_b0", False, 1e-5, 0.1),
        ("efficientnet_b4", False, 1e-5, 0.1),
        ("efficientnet_b5", False, 1e-3, 0.01),
        ("efficientnet_b7", False, 1e-3, 0.01),
        ("tf_efficientnet_b0", True, 1e-3, 0.01),
        ("tf_efficientnet_b5", True, 1e-3, 0.01),
        ("efficientnet_lite0", True, 1e-3, 0.01),
    ],
)
def test_efficientnet_pads_and_normalises_as_its_weights_were_trained(
    name: str, same: bool, eps: float, momentum: float
) -> None:
    layers = [m for m in build(name, 10).modules() if isinstance(m, ConvNorm)]
    assert {layer.conv.pads for layer in layers if layer.conv.stride[0] > 1} == {same}
    assert {(layer.norm.eps, layer.norm.momentum) for layer in layers} == {(eps, momentum)}


@torch.no_grad()
def test_a_block_adds_its_input_only_where_shapes_agree() -> None:
    """With projections of zero, a block gives its input or nothing."""
    backbone = randomise(EfficientNetBackbone(efficientnet.SCALINGS["efficientnet_b0"]))
    for block, channels, residual in (
        (backbone.stages[0][0], 32, False),
        (backbone.stages[1][0], 16, False),
        (backbone.stages[1][1], 24, True),
        (backbone.stages[4][0], 80, False),  # stride 1, but wider
        (backbone.stages[4][1], 112, True),
    ):
        nn.init.zeros_(block.project.norm.weight)
        nn.init.zeros_(block.project.norm.bias)
        x = torch.randn(1, channels, 8, 8)
        out = block(x)
        if residual:
            torch.testing.assert_close(out, x)
        else:
            assert (out == 0).all()
