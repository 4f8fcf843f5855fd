"""The quick gradients of depthwise convolutions are PyTorch's own."""

import pytest
import torch
from torch import Tensor, nn

from models.training.depthwise import DepthwiseConv2d, FastDepthwise
from models.variants import VARIANTS

CASES = [
    # kernel, stride, padding, height, width
    (5, 1, 2, 9, 12),
    (5, 1, 2, 3, 3),
    (3, 2, 1, 12, 11),
    (3, 2, 0, 13, 12),
    (5, 2, 0, 13, 14),
    (5, 2, 2, 10, 9),
]


def gradients(layer: nn.Conv2d, images: Tensor, fast: bool) -> list[Tensor]:
    """Output, and the gradients of input, weight and bias, all in float32."""
    images = images.clone().requires_grad_()
    layer.zero_grad()
    if fast:
        with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
            output = layer(images)
        assert has_step(output, DepthwiseConv2d)
    else:
        output = layer(images)
    generator = torch.Generator().manual_seed(1)
    output.float().backward(torch.randn(output.shape, generator=generator))
    bias = [] if layer.bias is None else [layer.bias.grad]
    return [output.detach().float(), images.grad, layer.weight.grad, *bias]


def has_step(output: Tensor, function: type) -> bool:
    """Whether ``function`` is among what autograd will go back through."""
    waiting, name = [output.grad_fn], f"{function.__name__}Backward"
    while waiting:
        node = waiting.pop()
        if node is not None:
            if type(node).__name__ == name:
                return True
            waiting += [following for following, _ in node.next_functions]
    return False


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), CASES)
def test_gradients_are_those_of_float32_but_for_rounding(
    kernel: int, stride: int, padding: int, height: int, width: int, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias)
    images = torch.randn(3, 6, height, width)
    expected = gradients(layer, images, fast=False)
    for wanted, got in zip(expected, gradients(layer, images, fast=True), strict=True):
        assert got.shape == wanted.shape
        assert (got - wanted).abs().max() < 0.02 * wanted.abs().max()  # bfloat16 has 8 bits


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(nn.Conv2d(6, 6, 3, 1, 1, groups=6), id="3x3 of stride 1, which is fast"),
        pytest.param(nn.Conv2d(6, 12, 5, 1, 2, groups=6), id="two outputs for each input"),
        pytest.param(nn.Conv2d(6, 6, 5, 1, 2), id="not depthwise"),
        pytest.param(nn.Conv2d(6, 6, 5, 1, 4, dilation=2, groups=6), id="dilated"),
        pytest.param(nn.Conv2d(6, 6, 7, 1, 3, groups=6), id="7x7"),
        pytest.param(nn.Conv2d(6, 6, 5, (1, 2), 2, groups=6), id="strides differ"),
    ],
)
def test_other_layers_are_left_alone(layer: nn.Conv2d) -> None:
    images = torch.randn(2, 6, 12, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        output = layer(images)
    assert not has_step(output, DepthwiseConv2d)


def test_float32_is_left_alone() -> None:
    layer = nn.Conv2d(6, 6, 5, 1, 2, groups=6)
    with FastDepthwise():
        output = layer(torch.randn(2, 6, 12, 12, requires_grad=True))
    assert not has_step(output, DepthwiseConv2d)


def test_detector_has_the_same_gradients() -> None:
    """All of EfficientDet-Lite0 in bfloat16, with and without."""
    torch.manual_seed(0)
    network = VARIANTS["efficientdet_lite0"].build(3).eval()  # norms of fixed statistics
    images = torch.randn(2, 3, 128, 128).contiguous(memory_format=torch.channels_last)

    def weights_gradients() -> Tensor:
        network.zero_grad()
        logits, deltas = network(images)
        (logits.float().square().mean() + deltas.float().square().mean()).backward()
        stem = network.backbone.stages[1][0].get_parameter("depthwise.conv.weight")
        return stem.grad.flatten()

    with torch.autocast("cpu", torch.bfloat16):
        expected = weights_gradients()
        with FastDepthwise():
            got = weights_gradients()
    assert torch.cosine_similarity(expected, got, dim=0) > 0.99
