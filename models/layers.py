"""Convolutions shared by the networks, padded as TensorFlow or as PyTorch does.

Many EfficientNet and EfficientDet weights were trained in TensorFlow, whose 'SAME' padding puts the
odd pixel of a strided layer on the right and at the bottom. PyTorch's symmetric padding would shift
the feature map by a pixel at each stride, so `Padding` says what a network was trained with.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[], nn.Module]
Padding = Literal["same", "symmetric"]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels to add before and after an axis for an output of ``ceil(size / stride)`` cells."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad ``x`` [N, C, H, W] as TensorFlow's 'SAME' does for a square kernel."""
    top, bottom = same_padding(x.shape[-2], kernel, stride)
    left, right = same_padding(x.shape[-1], kernel, stride)
    if top == bottom == left == right == 0:
        return x
    return F.pad(x, (left, right, top, bottom), value=value)


class Conv2d(nn.Conv2d):
    """A square convolution whose output has ``ceil(size / stride)`` cells.

    TensorFlow's 'SAME' is symmetric at stride 1, which the convolution does by itself; only strided
    layers need an explicit pad, whose size depends on the input's.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding: Padding = "same",
    ) -> None:
        pads = padding == "same" and stride > 1
        own = 0 if pads else kernel // 2
        super().__init__(in_channels, out_channels, kernel, stride, own, groups=groups, bias=bias)
        self.pads = pads

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return super().forward(pad_same(x, kernel, stride) if self.pads else x)


class MaxPool2d(nn.Module):
    """Max pooling to ``ceil(size / stride)`` cells; the padding never wins the maximum."""

    def __init__(self, kernel: int, stride: int, padding: Padding = "same") -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        if self.padding == "symmetric":
            return F.max_pool2d(x, self.kernel, self.stride, self.kernel // 2)
        x = pad_same(x, self.kernel, self.stride, value=torch.finfo(x.dtype).min)
        return F.max_pool2d(x, self.kernel, self.stride)


class SeparableConv2d(nn.Module):
    """A depthwise 3x3 convolution, then a pointwise one (MobileNets, arXiv 1704.04861, 3.1)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.depthwise = Conv2d(in_channels, in_channels, 3, groups=in_channels, bias=False)
        self.pointwise = Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))
