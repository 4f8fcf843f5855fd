"""BiFPN: the bidirectional feature pyramid of EfficientDet (arXiv 1911.09070, section 3).

A cell passes information down the pyramid and back up (Figure 2d), shown for levels P3 to P7:

    P7 ─────┬────────────────────► P7'
            ▼                      ▲
    P6 ──► (P6 + up P7) = T6 ────► P6' = P6 + T6 + down P5'
            ▼                      ▲
    P5 ──► (P5 + up T6) = T5 ────► P5' = P5 + T5 + down P4'
            ▼                      ▲
    P4 ──► (P4 + up T5) = T4 ────► P4' = P4 + T4 + down P3'
            ▼                      ▲
    P3 ──► (P3 + up T4) ─────────► P3'

P7' = P7 + down P6'. Each sum is a fusion, followed by activation, separable convolution and norm.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import Activation, Conv2d, MaxPool2d, Padding, SeparableConv2d

BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.01
FUSION_EPS = 1e-4
FusionKind = Literal["sum", "fast", "softmax"]


@dataclass(frozen=True)
class BiFPNSettings:
    """A BiFPN's size, and the conventions that its weights were trained with.

    channels, depth: W_bifpn and D_bifpn of arXiv 1911.09070, equation 1.
    fusion: see `Fusion`.
    bias: whether convolutions before a norm have one, as TensorFlow's do though the norm undoes it.
    """

    channels: int
    depth: int
    fusion: FusionKind
    activation: Activation
    levels: int = 5
    bias: bool = True
    padding: Padding = "same"


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """The norm of EfficientDet's pyramid and heads."""
    return nn.BatchNorm2d(channels, BATCH_NORM_EPS, BATCH_NORM_MOMENTUM)


class Fusion(nn.Module):
    """Adds feature maps of one shape, weighted as ``kind`` says (section 3.3).

    "sum": unweighted, as the Lite variants and D6 to D7x do.
    "fast": w_i / (eps + sum w_j), w_i = ReLU(parameter): fast normalised fusion.
    "softmax": exp(w_i) / sum exp(w_j): softmax-based fusion.
    """

    def __init__(self, kind: FusionKind, inputs: int) -> None:
        super().__init__()
        self.kind = kind
        if kind != "sum":
            self.weights = nn.Parameter(torch.ones(inputs))

    def forward(self, features: list[Tensor]) -> Tensor:
        if self.kind == "sum":
            return sum(features[1:], start=features[0])
        if self.kind == "fast":
            positive = self.weights.relu()
            weights = positive / (positive.sum() + FUSION_EPS)
        else:
            weights = self.weights.softmax(dim=0)
        return sum(
            (weights[i] * features[i] for i in range(1, len(features))), weights[0] * features[0]
        )


class Project(nn.Sequential):
    """Brings a backbone feature to the pyramid's width: 1x1 convolution and norm."""

    def __init__(self, in_channels: int, channels: int, bias: bool) -> None:
        super().__init__()
        self.add_module("conv", Conv2d(in_channels, channels, 1, bias=bias))
        self.add_module("norm", batch_norm(channels))


class Node(nn.Module):
    """One fusion of a cell: sum, activation, separable convolution, norm."""

    def __init__(self, settings: BiFPNSettings, inputs: int) -> None:
        super().__init__()
        channels = settings.channels
        self.fusion = Fusion(settings.fusion, inputs)
        self.activation = settings.activation()
        self.conv = SeparableConv2d(channels, channels, settings.bias)
        self.norm = batch_norm(channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.norm(self.conv(self.activation(self.fusion(features))))


class BiFPNCell(nn.Module):
    """One pass down and up. Features at each level, finest first, [N, channels, H_l, W_l].

    ``backbone_channels`` are the widths of the finest levels where these are still the backbone's
    features, as in the first cell. Each node that reads them has a projection of its own: a level
    with two readers (all but P3) has two.
    """

    def __init__(self, settings: BiFPNSettings, backbone_channels: tuple[int, ...] = ()) -> None:
        super().__init__()
        levels = settings.levels
        self.down_projections = nn.ModuleList(
            Project(width, settings.channels, settings.bias) for width in backbone_channels
        )
        self.up_projections = nn.ModuleList(
            Project(width, settings.channels, settings.bias) for width in backbone_channels[1:]
        )
        # finest first: top_down[i] makes T_i (level 0: its output), bottom_up[i] the output i + 1
        self.top_down = nn.ModuleList(Node(settings, 2) for _ in range(levels - 1))
        self.bottom_up = nn.ModuleList(
            Node(settings, 3 if level < levels - 1 else 2) for level in range(1, levels)
        )
        self.downsample = MaxPool2d(3, 2, settings.padding)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        top = len(features) - 1
        down = list(features)  # after the pass down: T_l, and P_top itself
        for level, project in enumerate(self.down_projections):
            down[level] = project(features[level])
        up = list(features)  # what the pass up reads of the inputs
        for level, project in enumerate(self.up_projections, start=1):
            up[level] = project(features[level])

        for level in reversed(range(top)):
            above = F.interpolate(down[level + 1], size=down[level].shape[-2:], mode="nearest")
            down[level] = self.top_down[level]([down[level], above])

        outputs = [down[0]]
        for level in range(1, top + 1):
            below = self.downsample(outputs[-1])
            middle = [down[level]] if level < top else []
            outputs.append(self.bottom_up[level - 1]([up[level], *middle, below]))
        return outputs


class BiFPN(nn.Module):
    """C3, C4, C5 -> P3 .. P_top, each [N, channels, H_l, W_l], through ``depth`` cells.

    P6 is C5 projected and halved, and each coarser level the one below it halved (max pooling).
    """

    def __init__(self, settings: BiFPNSettings, backbone_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = settings.channels
        self.extra_levels = settings.levels - len(backbone_channels)
        self.project_extra = Project(backbone_channels[-1], settings.channels, settings.bias)
        self.downsample = MaxPool2d(3, 2, settings.padding)
        self.cells = nn.ModuleList(
            BiFPNCell(settings, backbone_channels if i == 0 else ()) for i in range(settings.depth)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        pyramid = [*features, self.downsample(self.project_extra(features[-1]))]
        for _ in range(self.extra_levels - 1):
            pyramid.append(self.downsample(pyramid[-1]))
        for cell in self.cells:
            pyramid = cell(pyramid)
        return pyramid
