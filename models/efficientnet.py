"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6 in place of swish.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv 1905.11946, Table 1. The Lite variants drop what integer hardware runs badly and keep the
stem's and the head's width fixed while the body is scaled.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from models.layers import ConvNorm

BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.01
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


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
    """Compound scaling (arXiv 1905.11946, equation 3): factors of the body's width and depth."""

    width: float
    depth: float


SCALINGS = {
    "efficientnet_lite0": Scaling(width=1.0, depth=1.0),
    "efficientnet_lite1": Scaling(width=1.0, depth=1.1),
    "efficientnet_lite2": Scaling(width=1.1, depth=1.2),
    "efficientnet_lite3": Scaling(width=1.2, depth=1.4),
    "efficientnet_lite4": Scaling(width=1.4, depth=1.8),
}


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, never more than 10 % below it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def scale_stages(scaling: Scaling) -> tuple[Stage, ...]:
    """The body's stages after compound scaling; Lite keeps the first and the last depth at one."""
    last = len(STAGES) - 1
    return tuple(
        Stage(
            stage.kernel,
            stage.stride,
            stage.expansion,
            round_channels(stage.channels * scaling.width),
            stage.repeats if index in (0, last) else math.ceil(stage.repeats * scaling.depth),
        )
        for index, stage in enumerate(STAGES)
    )


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activate: bool = True,
) -> ConvNorm:
    """The convolution, norm and ReLU6 of which every EfficientNet-Lite layer is made."""
    return ConvNorm(
        in_channels,
        out_channels,
        kernel,
        stride,
        groups,
        eps=BATCH_NORM_EPS,
        momentum=BATCH_NORM_MOMENTUM,
        activation=nn.ReLU6 if activate else None,
    )


class MBConv(nn.Module):
    """Inverted residual: expand 1x1, depthwise kxk, project 1x1 (MobileNetV2, arXiv 1801.04381)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = conv_norm(in_channels, hidden, 1) if expansion != 1 else nn.Identity()
        self.depthwise = conv_norm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = conv_norm(hidden, out_channels, 1, activate=False)
        self.has_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out = self.project(self.depthwise(self.expand(x)))
        return x + out if self.has_residual else out


class EfficientNetBackbone(nn.Module):
    """Stem and body: normalised images [N, 3, H, W] -> features C3, C4, C5 at strides 8, 16, 32."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        stages = scale_stages(scaling)
        self.stem = conv_norm(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.Sequential()
        in_channels = STEM_CHANNELS
        for stage in stages:
            blocks = []
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(
                    MBConv(in_channels, stage.channels, stage.kernel, stride, stage.expansion)
                )
                in_channels = stage.channels
            self.stages.append(nn.Sequential(*blocks))
        self.feature_channels = tuple(stages[index].channels for index in FEATURE_STAGES)

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.resume(self.run_first(images, 0), 0)

    def run_first(self, images: Tensor, count: int) -> list[Tensor]:
        """Run the stem and the first ``count`` stages.

        Returns the features among their outputs, and last the output from which `resume` goes on:
        all that training with these stages frozen needs to keep.
        """
        x = self.stem(images)
        features = []
        for index in range(count):
            x = self.stages[index](x)
            if index in FEATURE_STAGES:
                features.append(x)
        return features if count - 1 in FEATURE_STAGES else [*features, x]

    def resume(self, kept: list[Tensor], count: int) -> list[Tensor]:
        """C3, C4, C5 from what `run_first` kept of the first ``count`` stages."""
        x = kept[-1]
        features = kept if count - 1 in FEATURE_STAGES else kept[:-1]
        for index in range(count, len(self.stages)):
            x = self.stages[index](x)
            if index in FEATURE_STAGES:
                features = [*features, x]
        return features


class EfficientNet(nn.Module):
    """The classifier: normalised images [N, 3, H, W] -> logits [N, num_classes]."""

    def __init__(self, scaling: Scaling, num_classes: int) -> None:
        super().__init__()
        self.backbone = EfficientNetBackbone(scaling)
        self.head = conv_norm(self.backbone.feature_channels[-1], HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        last_feature = self.backbone(images)[-1]
        return self.classifier(self.head(last_feature).mean(dim=(2, 3)))
