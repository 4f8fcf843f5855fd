"""Depthwise convolutions in bfloat16 whose gradients are quick on a CPU.

oneDNN, which computes PyTorch's convolutions on CPUs, has fast gradients for some depthwise layers
and slow ones for others: of a 5x5 kernel's weights, and of the input of a strided layer, they take
10 to 25 times the forward pass, and more than half of the whole step of an EfficientNet. Both can
be written with the parts that are fast:

* the input's gradient, as a convolution of stride 1 of the output's gradient, spread out with
  zeros, with the kernel turned by half a circle;
* a 5x5 kernel's gradient, as those of the four 3x3 kernels in its corners, as each of its weights
  meets the input independently of the others.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

FAST_KERNEL = 3  # whose weights' gradients oneDNN computes fast


class FastDepthwise(TorchFunctionMode):
    """Within it, depthwise `conv2d` in bfloat16 on a CPU has the gradients of this module.

    The results are those of PyTorch but for rounding; other calls are left as they are.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and not kwargs and _is_slow(*args):
            x, weight, bias, stride, padding = args[:5]
            y = DepthwiseConv2d.apply(x.bfloat16(), weight.bfloat16(), stride[0], padding[0])
            return y if bias is None else y + bias.to(y.dtype).reshape(-1, 1, 1)
        return func(*args, **(kwargs or {}))


def _is_slow(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    """Whether the call is one whose gradients oneDNN computes slowly, and this module fast."""
    height, width = weight.shape[-2:]
    return (
        x.device.type == "cpu"
        and _computing_type(x) == torch.bfloat16
        and torch.is_grad_enabled()
        and (x.requires_grad or weight.requires_grad)
        and groups == weight.shape[0] == x.shape[1] > 1
        and height == width
        and height in (3, 5)
        and (height == 5 or stride[0] > 1)
        and stride[0] == stride[1]
        and padding[0] == padding[1]
        and tuple(dilation) == (1, 1)
    )


def _computing_type(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


class DepthwiseConv2d(torch.autograd.Function):
    """Input [N, C, H, W] and weight [C, 1, k, k] -> [N, C, H', W']."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        (grad,) = grads
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(grad, weight, x.shape, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(grad, x, weight, ctx.stride, ctx.padding)
        return grad_x, grad_weight, None, None


def _input_gradient(
    grad: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int
) -> Tensor:
    """The transposed convolution of ``grad``, as one of stride 1."""
    kernel, (height, width) = weight.shape[-1], shape[-2:]
    if stride > 1:
        # as large as a stride of 1 would have made it
        rows, columns = height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1
        size = (*shape[:2], rows, columns)
        spread = torch.empty(size, dtype=grad.dtype, memory_format=torch.channels_last).zero_()
        spread[:, :, ::stride, ::stride] = grad
        grad = spread
    return F.conv2d(grad, weight.flip(-1, -2), None, 1, kernel - 1 - padding, groups=shape[1])


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """[C, 1, k, k], put together of 3x3 corners if it is larger."""
    if padding:
        x = F.pad(x, (padding,) * 4)
    kernel = weight.shape[-1]
    rows, columns = ((n - 1) * stride + FAST_KERNEL for n in grad.shape[-2:])
    whole = torch.empty_like(weight)
    for top in {0, kernel - FAST_KERNEL}:
        for left in {0, kernel - FAST_KERNEL}:
            whole[:, :, top : top + FAST_KERNEL, left : left + FAST_KERNEL] = _corner_gradient(
                grad, x[:, :, top : top + rows, left : left + columns], stride
            )
    return whole


def _corner_gradient(grad: Tensor, x: Tensor, stride: int) -> Tensor:
    """Of the 3x3 kernel that would give outputs shaped as ``grad`` for ``x``."""
    channels = x.shape[1]
    return torch.ops.aten.convolution_backward(
        grad,
        x.contiguous(memory_format=torch.channels_last),
        x.new_empty((channels, 1, FAST_KERNEL, FAST_KERNEL)),
        None,
        [stride, stride],
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        channels,
        [False, True, False],
    )[1]
