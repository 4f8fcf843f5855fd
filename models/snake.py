"""Deep Snake: from a detector's boxes to outlines, by contours that are deformed step by step.

    P3 ─ convolutions ─► features
    box ─► diamond ─ snake ─► extreme points ─► octagon ─ snake ─► … ─ snake ─► outline

Peng, Jiang, Pi, Li, Bao and Zhou, "Deep Snake for Real-Time Instance Segmentation", arXiv
2001.01629, Figures 3 and 4. Each snake reads the features at the vertices of its contour. What
differs from the paper: vertices move by shares of the box, and not by pixels, so that small and
large objects are alike; and the networks are narrower, since they stand on small detectors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.contours import clip_contours, diamond, octagon, resample, sample_features

STRIDE = 8  # of P3
VERTICES = 128
DIAMOND_VERTICES = 40
ITERATIONS = 3
KERNEL = 9
DILATIONS = (1, 1, 1, 1, 2, 2, 4, 4)  # of the eight blocks, as in the paper's own code


@dataclass(frozen=True)
class SnakeSettings:
    """The widths of a Deep Snake.

    features: channels that are read at each vertex. width: of the circular convolutions.
    fused: of what all vertices have in common. hidden: of the prediction head's layers.
    """

    features: int = 32
    width: int = 16
    fused: int = 32
    hidden: tuple[int, int] = (32, 16)


SETTINGS = SnakeSettings()


class CircularConv(nn.Module):
    """A convolution along closed contours: [N, C, K, V] -> [N, out, K, V] (equation 2)."""

    def __init__(self, channels: int, out_channels: int, dilation: int = 1) -> None:
        super().__init__()
        kernel = (1, KERNEL)
        self.reach = KERNEL // 2 * dilation
        self.conv = nn.Conv2d(channels, out_channels, kernel, dilation=(1, dilation), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.cat((x[..., -self.reach :], x, x[..., : self.reach]), dim=-1))


class CircularBlock(nn.Module):
    """Circular convolution, batch norm, ReLU; added to its input where that is as wide."""

    def __init__(self, channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = CircularConv(channels, out_channels, dilation)
        self.norm = nn.BatchNorm2d(out_channels)
        self.residual = channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x)).relu()
        return x + y if self.residual else y


class Snake(nn.Module):
    """What is known at each vertex, [N, C, K, V] -> where it moves, [N, K, V, 2]."""

    def __init__(self, channels: int, settings: SnakeSettings) -> None:
        super().__init__()
        width, (first, second) = settings.width, settings.hidden
        self.blocks = nn.ModuleList(
            CircularBlock(channels if place == 0 else width, width, dilation)
            for place, dilation in enumerate(DILATIONS)
        )
        states = width * len(DILATIONS)
        self.fusion = nn.Conv2d(states, settings.fused, 1)
        # the head's first layer, in its part for what all vertices have in common, and the rest
        self.common = nn.Conv2d(settings.fused, first, 1, bias=False)
        self.own = nn.Conv2d(states, first, 1)
        self.hidden = nn.Conv2d(first, second, 1)
        self.offsets = nn.Conv2d(second, 2, 1)
        nn.init.normal_(self.offsets.weight, std=0.01)
        nn.init.zeros_(self.offsets.bias)

    def forward(self, x: Tensor) -> Tensor:
        states = []
        for block in self.blocks:
            x = block(x)
            states.append(x)
        joined = torch.cat(states, dim=1)
        common = self.common(self.fusion(joined).amax(dim=-1, keepdim=True))
        hidden = self.hidden((self.own(joined) + common).relu()).relu()
        return self.offsets(hidden).permute(0, 2, 3, 1)


class DeepSnake(nn.Module):
    """P3 [N, C, H, W] and boxes [N, K, 4] xyxy in pixels -> their extreme points [N, K, 4, 2], and
    a contour [N, K, 128, 2] after each iteration, the last of which is the outline."""

    def __init__(self, channels: int, settings: SnakeSettings = SETTINGS) -> None:
        super().__init__()
        width = settings.features
        self.features = nn.Sequential()
        for place, before in enumerate((channels, width)):
            self.features.add_module(f"conv{place}", nn.Conv2d(before, width, 3, 1, 1, bias=False))
            self.features.add_module(f"norm{place}", nn.BatchNorm2d(width))
            self.features.add_module(f"relu{place}", nn.ReLU())
        known = width + 2  # and where the vertex is in the box
        self.extremes = Snake(known, settings)
        self.iterations = nn.ModuleList(Snake(known, settings) for _ in range(ITERATIONS))

    def forward(self, finest: Tensor, boxes: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = self.features(finest)
        contour = diamond(boxes, DIAMOND_VERTICES)
        contour = contour + self._move(self.extremes, features, contour, boxes)
        extremes = contour[..., :: DIAMOND_VERTICES // 4, :]
        contour, contours = resample(octagon(extremes.detach()), VERTICES), []
        for snake in self.iterations:
            contour = contour + self._move(snake, features, contour, boxes)
            contours.append(contour)
            contour = contour.detach()  # each iteration learns by itself
        return extremes, contours

    def outlines(self, finest: Tensor, boxes: Tensor) -> Tensor:
        """The outlines [N, K, 128, 2] alone, within the image."""
        height, width = (side * STRIDE for side in finest.shape[-2:])
        return clip_contours(self(finest, boxes)[1][-1], height, width)

    def _move(self, snake: nn.Module, features: Tensor, contour: Tensor, boxes: Tensor) -> Tensor:
        """Where ``snake`` moves the vertices of ``contour`` [N, K, V, 2], in pixels."""
        centre = ((boxes[..., :2] + boxes[..., 2:]) / 2).unsqueeze(-2)  # [N, K, 1, 2]
        half = half_sides(boxes).unsqueeze(-2)
        place = ((contour - centre) / half).permute(0, 3, 1, 2)  # [N, 2, K, V], -1 to 1 in the box
        sampled = sample_features(features, contour, STRIDE)
        offsets: Tensor = snake(torch.cat((sampled, place), dim=1))
        return offsets * half


def half_sides(boxes: Tensor) -> Tensor:
    """Half of the width and height of ``boxes`` [..., 4], [..., 2], at least half a pixel."""
    return ((boxes[..., 2:] - boxes[..., :2]) / 2).clamp(min=0.5)
