"""The parts of a Deep Snake against references in double precision, and what its form promises."""

import numpy as np
import pytest
import torch
from torch import nn

from models.contours import diamond
from models.losses import outline_losses
from models.snake import (
    DIAMOND_VERTICES,
    ITERATIONS,
    KERNEL,
    VERTICES,
    CircularConv,
    DeepSnake,
    Snake,
    SnakeSettings,
)
from models.variants import VARIANTS, find_variant
from models.weights import load_into, load_start

SMALL = SnakeSettings(features=4, width=6, fused=5, hidden=(7, 3))


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_a_circular_convolution_is_a_sum_over_neighbours_around_the_contour(dilation: int) -> None:
    torch.manual_seed(0)
    conv = CircularConv(3, 5, dilation).double()
    x = torch.randn(2, 3, 4, DIAMOND_VERTICES, dtype=torch.float64)
    weights = conv.conv.weight.detach().numpy()[:, :, 0]  # [5, 3, KERNEL]
    expected = np.zeros((2, 5, 4, DIAMOND_VERTICES))
    for tap in range(KERNEL):
        neighbours = np.roll(x.numpy(), -(tap - KERNEL // 2) * dilation, axis=-1)
        expected += np.einsum("oc,nckv->nokv", weights[:, :, tap], neighbours)
    with torch.no_grad():
        np.testing.assert_allclose(conv(x).numpy(), expected, atol=1e-12)


def test_where_a_contour_is_begun_does_not_matter() -> None:
    torch.manual_seed(0)
    snake = Snake(6, SMALL).double().eval()
    nn.init.normal_(snake.offsets.weight)
    x = torch.randn(2, 6, 3, VERTICES, dtype=torch.float64)
    with torch.no_grad():
        expected = snake(x).roll(5, dims=2)
        torch.testing.assert_close(snake(x.roll(5, dims=3)), expected)
    assert expected.shape == (2, 3, VERTICES, 2)
    assert expected.std() > 0.01


def test_an_objects_outline_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    snake = DeepSnake(8, SMALL).eval()
    for part in (snake.extremes, *snake.iterations):
        nn.init.normal_(part.offsets.weight, std=0.1)
    finest = torch.randn(2, 8, 10, 12)
    boxes = torch.tensor([[8.0, 9.0, 50.0, 60.0], [0.0, 0.0, 96.0, 80.0], [5.0, 5.0, 5.0, 5.0]])
    with torch.no_grad():
        together = snake.outlines(finest, boxes.expand(2, -1, -1))
        alone = snake.outlines(finest[1:], boxes[None, 1:2])
    torch.testing.assert_close(together[1:, 1:2], alone)
    assert together.shape == (2, 3, VERTICES, 2)
    assert together.isfinite().all()
    assert together[..., 0].max() <= 96
    assert together[..., 1].max() <= 80


def test_a_snake_that_moves_nothing_gives_the_octagon_of_the_boxs_middles() -> None:
    snake = DeepSnake(8, SMALL).eval()
    for part in (snake.extremes, *snake.iterations):
        nn.init.zeros_(part.offsets.weight)
    box = torch.tensor([[[0.0, 0.0, 80.0, 40.0]]])
    extremes, contours = snake(torch.randn(1, 8, 10, 12), box)
    assert extremes.tolist() == [[diamond(box[0, 0], 4).tolist()]]
    assert len(contours) == ITERATIONS
    corners = {(30.0, 0.0), (0.0, 15.0), (80.0, 25.0), (40.0, 40.0)}
    for contour in contours:
        x, y = contour[0, 0].unbind(-1)
        assert (x.min(), y.min(), x.max(), y.max()) == (0, 0, 80, 40)
        for corner in corners:
            nearest = (contour[0, 0] - torch.tensor(corner)).norm(dim=1).min()
            assert nearest < 1


def test_losses_are_shares_of_half_the_box() -> None:
    rng = np.random.default_rng(2)
    boxes = np.array([[0.0, 0, 40, 20], [10, 10, 30, 90]])
    goals, first, second = rng.uniform(0, 50, (3, 2, 16, 2))
    extremes = rng.uniform(0, 50, (2, 4, 2))
    half = ((boxes[:, 2:] - boxes[:, :2]) / 2)[:, None]

    def smooth_l1(errors: np.ndarray) -> float:
        size = np.abs(errors)
        return float(np.where(size < 0.05, size**2 / 0.1, size - 0.025).mean())

    best = [
        min((np.roll(g, -s, axis=0) for s in range(16)), key=lambda one: ((one - c) ** 2).sum())
        for g, c in zip(goals, first, strict=True)
    ]
    x, y = goals[..., 0], goals[..., 1]
    index = np.stack((y.argmin(1), x.argmin(1), y.argmax(1), x.argmax(1)), axis=1)
    of_extremes = smooth_l1((extremes - np.take_along_axis(goals, index[..., None], 1)) / half)
    of_contours = np.mean([smooth_l1((c - np.stack(best)) / half) for c in (first, second)])

    found = outline_losses(
        torch.from_numpy(extremes),
        [torch.from_numpy(first), torch.from_numpy(second)],
        torch.from_numpy(goals),
        torch.from_numpy(boxes),
    )
    assert [float(loss) for loss in found] == pytest.approx([of_extremes, of_contours], abs=1e-12)


@pytest.mark.parametrize("name", ["retinanet_lite0", "efficientdet_lite0"])
def test_a_detector_with_a_snake_starts_from_one_without(name: str) -> None:
    torch.manual_seed(0)
    plain, outlined = find_variant(name).build(2), find_variant(f"{name}+snake").build(2)
    own = {k: v.clone() for k, v in outlined.snake.state_dict().items()}
    recognised = load_start(outlined, plain.state_dict(), "plain.pth")
    assert recognised.tensors == len(plain.state_dict())
    assert all(torch.equal(v, own[k]) for k, v in outlined.snake.state_dict().items())
    assert torch.equal(
        outlined.backbone.state_dict()["stem.conv.weight"],
        plain.backbone.state_dict()["stem.conv.weight"],
    )
    load_into(find_variant(f"{name}+snake").build(2), outlined.state_dict(), "outlined.pth")


@pytest.mark.parametrize("name", ["resnet18", "fasterrcnn_resnet50_fpn", "rcnn_lite0"])
def test_a_snake_takes_a_one_stage_detector(name: str) -> None:
    assert name in VARIANTS
    with pytest.raises(KeyError):
        find_variant(f"{name}+snake")
