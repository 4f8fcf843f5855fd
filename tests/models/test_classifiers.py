"""ResNet, VGG and EfficientNet, written out a second time over their tensors; published sizes."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import efficientnet, resnet, vgg
from models.efficientnet import EfficientNetBackbone, SqueezeExcite, round_channels, scale_stages
from models.layers import Conv2dSame, ConvNorm
from models.resnet import ResNet, ResNetBackbone
from models.variants import VARIANTS
from models.vgg import VGG, VGGBackbone

State = dict[str, Tensor]


def build(name: str, classes: int) -> nn.Module:
    """A network of shapes only: its parameters take no memory and no time."""
    with torch.device("meta"):
        return VARIANTS[name].build(classes).eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def randomise(network: nn.Module) -> nn.Module:
    """Give the batch norms something to do; an untrained one does nothing."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


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


def norm(x: Tensor, state: State, name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


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
    assert {isinstance(layer.conv, Conv2dSame) for layer in layers} == {same}
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
