"""EfficientNet B0 to B7, and EfficientNet-Lite: the same without squeeze-and-excitation and swish.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv 1905.11946, Table 1. The Lite variants drop what integer hardware runs badly, and keep the
stem, the head and the first and last stage as they are while the rest is scaled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from models.layers import Conv2d, Padding
from models.staged import StagedBackbone

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
SQUEEZE_RATIO = 4  # a block's input channels to those that its squeeze-and-excitation squeezes to


@dataclass(frozen=True)
class Stage:
    """One row of the paper's Table 1: MBConv blocks of one resolution and width."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


STAGES = (
    Stage(kernel=3, stride=1, expansion=1, channels=16, repeats=1),
    Stage(kernel=3, stride=2, expansion=6, channels=24, repeats=2),
    Stage(kernel=5, stride=2, expansion=6, channels=40, repeats=2),  # C3, stride 8
    Stage(kernel=3, stride=2, expansion=6, channels=80, repeats=3),
    Stage(kernel=5, stride=1, expansion=6, channels=112, repeats=3),  # C4, stride 16
    Stage(kernel=5, stride=2, expansion=6, channels=192, repeats=4),
    Stage(kernel=3, stride=1, expansion=6, channels=320, repeats=1),  # C5, stride 32
)
FEATURE_STAGES = (2, 4, 6)  # the last stages at strides 8, 16 and 32


@dataclass(frozen=True)
class Scaling:
    """Compound scaling (arXiv 1905.11946, equation 3): factors of width and depth.

    With phi the variant's number, depth is 1.2^phi and width 1.1^phi, at a resolution of 1.15^phi
    (section 3.3 fits these bases by grid search); the published variants round them.
    """

    width: float
    depth: float
    lite: bool = False


SCALINGS = {
    "efficientnet_b0": Scaling(1.0, 1.0),
    "efficientnet_b1": Scaling(1.0, 1.1),
    "efficientnet_b2": Scaling(1.1, 1.2),
    "efficientnet_b3": Scaling(1.2, 1.4),
    "efficientnet_b4": Scaling(1.4, 1.8),
    "efficientnet_b5": Scaling(1.6, 2.2),
    "efficientnet_b6": Scaling(1.8, 2.6),
    "efficientnet_b7": Scaling(2.0, 3.1),
    "efficientnet_lite0": Scaling(1.0, 1.0, lite=True),
    "efficientnet_lite1": Scaling(1.0, 1.1, lite=True),
    "efficientnet_lite2": Scaling(1.1, 1.2, lite=True),
    "efficientnet_lite3": Scaling(1.2, 1.4, lite=True),
    "efficientnet_lite4": Scaling(1.4, 1.8, lite=True),
}


@dataclass(frozen=True)
class Convention:
    """What weights were trained with: padding of strided layers, the norms' eps and momentum."""

    padding: Padding
    eps: float
    momentum: float


TENSORFLOW = Convention("same", eps=1e-3, momentum=0.01)
PYTORCH = Convention("symmetric", eps=1e-5, momentum=0.1)
PYTORCH_LARGE = Convention("symmetric", eps=1e-3, momentum=0.01)  # torchvision's B5 to B7


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, never more than 10 % below it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def scale_stages(scaling: Scaling) -> tuple[Stage, ...]:
    """The body's stages after compound scaling; Lite keeps the first and the last depth at one."""
    kept = (0, len(STAGES) - 1) if scaling.lite else ()
    return tuple(
        replace(
            stage,
            channels=round_channels(stage.channels * scaling.width),
            repeats=stage.repeats if index in kept else math.ceil(stage.repeats * scaling.depth),
        )
        for index, stage in enumerate(STAGES)
    )


class ConvNorm(nn.Sequential):
    """The convolution, norm and activation of which every layer of a variant is made."""

    def __init__(
        self,
        scaling: Scaling,
        convention: Convention,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        conv = Conv2d(in_channels, out_channels, kernel, stride, groups, False, convention.padding)
        self.add_module("conv", conv)
        norm = nn.BatchNorm2d(out_channels, convention.eps, convention.momentum)
        self.add_module("norm", norm)
        if activate:
            self.add_module("activation", nn.ReLU6() if scaling.lite else nn.SiLU())


class SqueezeExcite(nn.Module):
    """Scales each channel by what all of them together say (arXiv 1709.01507, equations 2-4)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.SiLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        summary = x.mean(dim=(2, 3), keepdim=True)
        return x * self.expand(self.activation(self.reduce(summary))).sigmoid()


class MBConv(nn.Module):
    """Inverted residual (MobileNetV2, arXiv 1801.04381): expand 1x1, depthwise kxk, squeeze and
    excite unless Lite, project 1x1. A stage's first block has its stride."""

    def __init__(
        self, scaling: Scaling, convention: Convention, in_channels: int, stage: Stage, stride: int
    ) -> None:
        super().__init__()
        hidden = in_channels * stage.expansion
        self.expand = (
            ConvNorm(scaling, convention, in_channels, hidden, 1)
            if stage.expansion != 1
            else nn.Identity()
        )
        self.depthwise = ConvNorm(
            scaling, convention, hidden, hidden, stage.kernel, stride, groups=hidden
        )
        self.squeeze = (
            nn.Identity()
            if scaling.lite
            else SqueezeExcite(hidden, max(1, in_channels // SQUEEZE_RATIO))
        )
        self.project = ConvNorm(scaling, convention, hidden, stage.channels, 1, activate=False)
        self.has_residual = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + out if self.has_residual else out


class EfficientNetBackbone(StagedBackbone):
    """Stem and body: normalised images [N, 3, H, W] -> features C3, C4, C5 at strides 8, 16, 32."""

    feature_stages = FEATURE_STAGES

    def __init__(self, scaling: Scaling, convention: Convention = TENSORFLOW) -> None:
        super().__init__()
        stages = scale_stages(scaling)
        in_channels = round_channels(STEM_CHANNELS * (1.0 if scaling.lite else scaling.width))
        self.stem = ConvNorm(scaling, convention, 3, in_channels, 3, stride=2)
        self.stages = nn.Sequential()
        for stage in stages:
            blocks = []
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(MBConv(scaling, convention, in_channels, stage, stride))
                in_channels = stage.channels
            self.stages.append(nn.Sequential(*blocks))
        self.feature_channels = tuple(stages[index].channels for index in FEATURE_STAGES)

    def stem_layers(self) -> Sequence[nn.Module]:
        return [self.stem]

    def body(self) -> Sequence[nn.Module]:
        return list(self.stages)


class EfficientNet(nn.Module):
    """The classifier: normalised images [N, 3, H, W] -> logits [N, num_classes]."""

    class_layer = "classifier"

    def __init__(
        self, scaling: Scaling, num_classes: int, convention: Convention = TENSORFLOW
    ) -> None:
        super().__init__()
        channels = round_channels(HEAD_CHANNELS * (1.0 if scaling.lite else scaling.width))
        self.backbone = EfficientNetBackbone(scaling, convention)
        self.head = ConvNorm(scaling, convention, self.backbone.feature_channels[-1], channels, 1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        last_feature = self.backbone(images)[-1]
        return self.classifier(self.head(last_feature).mean(dim=(2, 3)))
