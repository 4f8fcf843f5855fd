"""The ONNX subgraph that pools regions against its definition in PyTorch."""

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from export.onnx.operators import ONNX_TRANSLATIONS
from export.onnx.trace import OPSET
from models.operators import crop_regions, pool_regions
from models.roi import assign_levels

STRIDES = [4, 8, 16, 32]
HEIGHT, WIDTH = 160, 192  # of the input that the features are of
Compare = Callable[[Tensor, Tensor, list[Tensor]], np.ndarray]


class RegionPooling(nn.Module):
    def __init__(self, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, boxes: Tensor, levels: Tensor, *features: Tensor) -> Tensor:
        return pool_regions(list(features), boxes, levels, STRIDES, self.pooling)


def random_features(images: int, height: int = HEIGHT, width: int = WIDTH) -> list[Tensor]:
    """Of both signs: what lies outside must not pass for a maximum."""
    generator = torch.Generator().manual_seed(images)
    return [torch.randn(images, 3, height // s, width // s, generator=generator) for s in STRIDES]


def random_boxes(seed: int, images: int, number: int, smallest: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    sides = torch.tensor([WIDTH, HEIGHT])
    corners = torch.rand(images, number, 2, 2, generator=generator) * sides
    first = torch.minimum(corners.amin(dim=2), sides - smallest)
    return torch.cat((first, torch.maximum(corners.amax(dim=2), first + smallest)), dim=2)


def random_levels(seed: int, boxes: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(len(STRIDES), boxes.shape[:2], generator=generator)


@pytest.fixture(scope="module", params=["align", "pool"])
def compare_pooling(request: pytest.FixtureRequest) -> Compare:
    """Pools in PyTorch and in ONNX Runtime, and gives what both say, [N * R, C, 7, 7]."""
    boxes, features = random_boxes(0, 2, 5), random_features(2)
    batch, regions = torch.export.Dim("N"), torch.export.Dim("R")
    varying = torch.export.Dim.DYNAMIC
    names = ["boxes", "levels", *(f"P{level}" for level in range(2, 6))]
    program = torch.onnx.export(
        RegionPooling(request.param).eval(),
        (boxes, random_levels(0, boxes), *features),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=(
            {0: batch, 1: regions},
            {0: batch, 1: regions},
            tuple({0: batch, 2: varying, 3: varying} for _ in STRIDES),
        ),
        input_names=names,
        custom_translation_table=ONNX_TRANSLATIONS,
    )
    session = ort.InferenceSession(program.model_proto.SerializeToString())

    def compare(boxes: Tensor, levels: Tensor, features: list[Tensor]) -> np.ndarray:
        expected = pool_regions(features, boxes, levels, STRIDES, request.param)
        values = (t.numpy() for t in (boxes, levels, *features))
        (actual,) = session.run(None, dict(zip(names, values, strict=True)))
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected.numpy(), atol=1e-4)
        return actual

    return compare


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("images", [1, 2, 5])
def test_random_regions(compare_pooling: Compare, seed: int, images: int) -> None:
    boxes = random_boxes(seed, images, 200, smallest=32)
    pooled = compare_pooling(boxes, random_levels(seed, boxes), random_features(images))
    assert pooled.shape == (images * 200, 3, 7, 7)
    assert (np.abs(pooled).reshape(len(pooled), -1).max(axis=1) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_random_regions_of_the_levels_that_fit_them(compare_pooling: Compare, seed: int) -> None:
    """Most are of the finest levels, and thin ones lie on the borders too."""
    boxes = random_boxes(seed, 2, 500)
    levels = assign_levels(boxes)
    assert set(levels.unique().tolist()) == {0, 1}
    compare_pooling(boxes, levels, random_features(2))


@pytest.mark.parametrize("level", range(len(STRIDES)))
def test_all_regions_of_one_level(compare_pooling: Compare, level: int) -> None:
    boxes = random_boxes(level, 2, 30, smallest=32)
    compare_pooling(boxes, torch.full(boxes.shape[:2], level), random_features(2))


def test_a_level_that_only_one_image_has_regions_of(compare_pooling: Compare) -> None:
    boxes = random_boxes(0, 3, 20, smallest=32)
    levels = torch.tensor([0, 3, 1])[:, None].repeat(1, 20)
    compare_pooling(boxes, levels, random_features(3))


def test_regions_of_an_input_of_another_size(compare_pooling: Compare) -> None:
    boxes = random_boxes(0, 2, 50, smallest=32) / 2
    compare_pooling(boxes, random_levels(0, boxes) % 2, random_features(2, HEIGHT // 2, WIDTH // 2))


def test_regions_of_a_level_of_one_cell(compare_pooling: Compare) -> None:
    side = STRIDES[-1]
    boxes = random_boxes(0, 2, 30) * torch.tensor([side / WIDTH, side / HEIGHT] * 2)
    features = random_features(2, side, side)
    assert features[-1].shape[2:] == (1, 1)
    compare_pooling(boxes, torch.full(boxes.shape[:2], 3), features)


def test_a_region_is_read_from_its_own_image(compare_pooling: Compare) -> None:
    boxes = random_boxes(0, 1, 40, smallest=32).repeat(2, 1, 1)
    levels = random_levels(0, boxes[:1]).repeat(2, 1)
    pooled = compare_pooling(boxes, levels, random_features(2))
    first, second = pooled.reshape(2, 40, -1)
    assert (np.abs(first - second).max(axis=1) > 0.01).all()


def test_padding_is_pooled_like_a_region(compare_pooling: Compare) -> None:
    """Rows that hold no proposal have a box without area in the corner."""
    boxes = torch.zeros(2, 3, 4)
    compare_pooling(boxes, assign_levels(boxes), random_features(2))


SLIVERS = {
    "right": [191, 10, 192, 60],
    "right, wider than its overlap": [188.5, 10, 192, 60],
    "bottom": [10, 158, 60, 160],
    "corner": [191.5, 159.5, 192, 160],
    "no area, right": [192, 10, 192, 60],
    "left": [0, 10, 1, 60],
    "top": [10, 0, 60, 0.5],
}


@pytest.mark.parametrize("box", SLIVERS.values(), ids=SLIVERS)
@pytest.mark.parametrize("level", range(len(STRIDES)))
def test_regions_narrower_than_a_cell_at_the_border(
    compare_pooling: Compare, level: int, box: list[float]
) -> None:
    boxes = torch.tensor([[box]], dtype=torch.float32)
    compare_pooling(boxes, torch.full((1, 1), level), random_features(1))


@pytest.mark.parametrize("axis", [0, 1])
def test_regions_of_every_whole_number_of_cells(compare_pooling: Compare, axis: int) -> None:
    """A seventh of some numbers, such as 57, is a little too large as a binary fraction."""
    long, short = 1056, 32
    ends = torch.arange(4.0, long + 1, 4)
    zeros, low, high = torch.zeros_like(ends), ends * 0 + 8, ends * 0 + 24
    sides = [(zeros, ends), (low, high)] if axis == 0 else [(low, high), (zeros, ends)]
    boxes = torch.stack((sides[0][0], sides[1][0], sides[0][1], sides[1][1]), dim=-1)[None]
    features = random_features(1, *((short, long) if axis == 0 else (long, short)))
    compare_pooling(boxes, torch.zeros(boxes.shape[:2], dtype=torch.int64), features)


class Crops(nn.Module):
    def forward(self, images: Tensor, boxes: Tensor) -> Tensor:
        return crop_regions(images, boxes, 6)


def test_crops_are_those_of_pytorch_at_the_rim_too() -> None:
    """Where half of a sample lies in the image, and beyond."""
    images, boxes = random_features(2)[1], random_boxes(0, 2, 300)
    boxes = boxes * 0.5 - 20  # the images end at 48 and 40
    boxes[:, 0] = torch.tensor([-0.25, -0.75, 0.5, 0.25])
    boxes[:, 1] = torch.tensor([47.5, 39.5, 48.75, 41.0])
    boxes[:, 2] = torch.tensor([10.0, 10.0, 10.0, 10.0])
    batch, regions = torch.export.Dim("N"), torch.export.Dim("R")
    program = torch.onnx.export(
        Crops().eval(),
        (images, boxes[:, :5]),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=({0: batch}, {0: batch, 1: regions}),
        input_names=["images", "boxes"],
        custom_translation_table=ONNX_TRANSLATIONS,
    )
    session = ort.InferenceSession(program.model_proto.SerializeToString())
    (actual,) = session.run(None, {"images": images.numpy(), "boxes": boxes.numpy()})
    expected = crop_regions(images, boxes, 6)
    assert expected.shape == (600, 3, 6, 6)
    assert (expected == 0).any(dim=(1, 2, 3)).any()
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-4)
