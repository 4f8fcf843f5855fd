"""Cutting regions out, against loops over single samples and cells."""

import math
from decimal import ROUND_HALF_UP, Decimal

import pytest
import torch

from models.roi import align_region, assign_levels, max_pool_region, pool_regions

COLUMNS, ROWS = 13, 9
BOXES = {
    "inside": (2.3, 1.7, 9.9, 6.2),
    "whole": (0, 0, COLUMNS, ROWS),
    "a cell at the origin": (0, 0, 1, 1),
    "empty, at the origin": (0, 0, 0, 0),
    "tiny": (4.1, 3.3, 4.2, 3.35),
    "thin": (0.4, 2.2, 12.6, 2.25),
    "halves": (0.5, 1.5, 2.5, 3.5),
    "odd halves": (1.5, 0.5, 7.5, 4.5),
    "wider than high": (1.2, 5.1, 12.4, 6.9),
    "right border": (9.6, 1.1, COLUMNS, 4.0),
    "lower border": (3.3, 7.2, 5.9, ROWS),
    "lower right corner": (11.7, 7.7, COLUMNS, ROWS),
    "tiny at the right border": (12.8, 2.0, COLUMNS, 5.0),
    "tiny at the lower border": (4.0, 8.7, 8.0, ROWS),
    "empty, at the lower right corner": (COLUMNS, ROWS, COLUMNS, ROWS),
}


def random_feature(channels: int = 3) -> torch.Tensor:
    """Below zero everywhere, so that a border of zeros would show."""
    generator = torch.Generator().manual_seed(0)
    return -1 - torch.rand(channels, ROWS, COLUMNS, generator=generator, dtype=torch.float64)


def random_boxes(count: int, columns: int, rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64)
    corners = corners * torch.tensor([columns, rows], dtype=torch.float64)
    return torch.cat((corners.amin(dim=1), corners.amax(dim=1)), dim=1)


def naive_sample(feature: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Bilinear, [C]. Beyond a cell outside there is nothing; up to there, the border goes on."""
    rows, columns = feature.shape[1:]
    if y < -1 or y > rows or x < -1 or x > columns:
        return torch.zeros(feature.shape[0], dtype=torch.float64)
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    left, top = math.floor(x), math.floor(y)
    total = torch.zeros(feature.shape[0], dtype=torch.float64)
    for row, share_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            if share_y * share_x > 0:
                total += share_y * share_x * feature[:, row, column]
    return total


def naive_align(feature: torch.Tensor, box: list[float]) -> torch.Tensor:
    """[C, 7, 7]: in each bin the mean of samples at a quarter and three quarters of its sides."""
    left, top, right, bottom = box
    bin_width, bin_height = max(right - left, 1) / 7, max(bottom - top, 1) / 7
    pooled = torch.zeros(feature.shape[0], 7, 7, dtype=torch.float64)
    for i in range(7):
        for j in range(7):
            for dy in (0.25, 0.75):
                for dx in (0.25, 0.75):
                    x, y = left + (j + dx) * bin_width, top + (i + dy) * bin_height
                    pooled[:, i, j] += naive_sample(feature, x, y) / 4
    return pooled


def half_away_from_zero(value: float) -> int:
    return int(Decimal(value).quantize(Decimal(1), ROUND_HALF_UP))


def naive_max_pool(feature: torch.Tensor, box: list[float]) -> torch.Tensor:
    """[C, 7, 7]: the maximum of the cells that a bin touches; 0 where it touches none."""
    channels, rows, columns = feature.shape
    left, top, right, bottom = (half_away_from_zero(value) for value in box)
    width, height = max(right - left + 1, 1), max(bottom - top + 1, 1)
    pooled = torch.zeros(channels, 7, 7, dtype=torch.float64)
    for channel in range(channels):
        for i in range(7):
            for j in range(7):
                cells = [
                    feature[channel, row, column].item()
                    for row in range(top + i * height // 7, top - (-(i + 1) * height // 7))
                    for column in range(left + j * width // 7, left - (-(j + 1) * width // 7))
                    if 0 <= row < rows and 0 <= column < columns
                ]
                pooled[channel, i, j] = max(cells) if cells else 0.0
    return pooled


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_aligned_region_is_the_mean_of_samples(box: tuple[float, ...]) -> None:
    feature = random_feature()
    pooled = align_region(feature, torch.tensor([box], dtype=torch.float64))
    torch.testing.assert_close(pooled[0], naive_align(feature, list(box)))


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_max_pooled_region_is_the_maximum_of_cells(box: tuple[float, ...]) -> None:
    feature = random_feature()
    pooled = max_pool_region(feature, torch.tensor([box], dtype=torch.float64))
    torch.testing.assert_close(pooled[0], naive_max_pool(feature, list(box)))


def test_many_random_regions_at_once() -> None:
    feature, boxes = random_feature(), random_boxes(25, COLUMNS, ROWS)
    aligned, pooled = align_region(feature, boxes), max_pool_region(feature, boxes)
    assert aligned.shape == pooled.shape == (25, 3, 7, 7)
    for index, box in enumerate(boxes.tolist()):
        torch.testing.assert_close(aligned[index], naive_align(feature, box))
        torch.testing.assert_close(pooled[index], naive_max_pool(feature, box))


def test_single_precision_is_precise_enough() -> None:
    feature, boxes = random_feature(), random_boxes(25, COLUMNS, ROWS)
    aligned = align_region(feature.float(), boxes.float())
    torch.testing.assert_close(aligned.double(), align_region(feature, boxes), atol=1e-5, rtol=1e-5)


def test_aligned_cells_of_a_ramp_are_its_values_at_their_middles() -> None:
    """Cell (i, j) of the feature lies at (i, j): no half cell is taken off."""
    y, x = torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")
    pooled = align_region((10 * y + x)[None], torch.tensor([[1.0, 2.0, 8.0, 9.0]]))[0, 0]
    expected = [[10 * (2.5 + i) + 1.5 + j for j in range(7)] for i in range(7)]
    torch.testing.assert_close(pooled, torch.tensor(expected))


def test_a_region_narrower_than_a_cell_is_read_as_one_cell_wide() -> None:
    ramp = torch.arange(12.0).expand(1, 10, 12)
    thin = align_region(ramp, torch.tensor([[3.0, 2, 3.2, 9], [3.0, 2, 4.0, 9]]))
    torch.testing.assert_close(thin[0], thin[1])
    torch.testing.assert_close(thin[0, 0, 0], 3 + (torch.arange(7.0) + 0.5) / 7)


def test_samples_beyond_the_border_are_zero() -> None:
    """Widened to one cell, this region's samples are at 7.936, 8.007, …: only the first is in."""
    pooled = align_region(torch.ones(1, 8, 8), torch.tensor([[7.9, 7.9, 8.0, 8.0]]))[0, 0]
    expected = torch.zeros(7, 7)
    expected[0, 0] = 0.25
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("shape", [(1, 5, 1), (1, 1, 5), (1, 1, 1)])
def test_a_feature_of_one_row_or_column_can_be_aligned(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    feature = torch.rand(shape, generator=generator, dtype=torch.float64)
    box = [0.0, 0.0, float(shape[2]), float(shape[1])]
    pooled = align_region(feature, torch.tensor([box], dtype=torch.float64))
    torch.testing.assert_close(pooled[0], naive_align(feature, box))


def test_max_pooling_a_region_of_seven_cells_copies_it() -> None:
    """Both corners count: 2 to 8 are seven cells."""
    feature = torch.arange(120.0).reshape(1, 10, 12)
    pooled = max_pool_region(feature, torch.tensor([[2.0, 1.0, 8.0, 7.0]]))
    torch.testing.assert_close(pooled[0], feature[:, 1:8, 2:9])


def test_max_pooling_a_region_of_two_cells_repeats_them() -> None:
    """A bin takes every cell that it touches, so the fourth of seven takes both."""
    feature = torch.arange(120.0).reshape(1, 10, 12)
    pooled = max_pool_region(feature, torch.tensor([[4.0, 3.0, 5.0, 3.0]]))[0, 0]
    assert pooled.tolist() == [[40, 40, 40, 41, 41, 41, 41]] * 7


def test_corners_are_rounded_to_whole_cells_with_halves_up() -> None:
    feature = torch.arange(120.0).reshape(1, 10, 12)
    boxes = torch.tensor([[2.5, 0.5, 4.49, 2.49], [3.0, 1.0, 4.0, 2.0]])
    rounded, whole = max_pool_region(feature, boxes)
    torch.testing.assert_close(rounded, whole)


@pytest.mark.parametrize(
    ("side", "level"),
    [(0, 2), (1, 2), (111, 2), (112, 3), (223, 3), (224, 4), (447, 4), (448, 5), (2000, 5)],
)
def test_level_of_a_square_region(side: float, level: int) -> None:
    """k = floor(4 + log2(side / 224)), kept within P2 to P5."""
    index = assign_levels(torch.tensor([10.0, 20.0, 10.0 + side, 20.0 + side]))
    assert index.dtype == torch.int64
    assert index.item() == level - 2


def test_level_depends_on_the_area_alone() -> None:
    boxes = torch.tensor([[[0.0, 0, 56, 896], [0, 0, 896, 56]], [[0, 0, 28, 448], [5, 0, 7, 900]]])
    assert assign_levels(boxes).tolist() == [[2, 2], [1, 0]]


@pytest.mark.parametrize("pooling", ["align", "pool"])
def test_each_region_is_cut_from_its_own_level_and_image(pooling: str) -> None:
    """Two images, four levels that say where they are: image, level."""
    strides = [4, 8, 16, 32]
    features = [
        torch.stack([torch.full((3, 64 // s, 64 // s), 10.0 * n + i) for n in (1, 2)])
        for i, s in enumerate(strides)
    ]
    boxes = torch.tensor([8.0, 8, 30, 28]).expand(2, 5, 4)
    levels = torch.tensor([[0, 3, 1, 1, 2], [2, 0, 0, 0, 3]])
    pooled = pool_regions(features, boxes, levels, strides, pooling)
    assert pooled.shape == (10, 3, 7, 7)
    expected = [10, 13, 11, 11, 12, 22, 20, 20, 20, 23]
    torch.testing.assert_close(
        pooled, torch.tensor(expected)[:, None, None, None].expand_as(pooled).float()
    )


@pytest.mark.parametrize("pooling", ["align", "pool"])
def test_regions_are_scaled_to_their_levels_cells(pooling: str) -> None:
    """An input of 64 x 96, whose levels' grids the strides divide."""
    strides = [4, 8, 16, 32]
    generator = torch.Generator().manual_seed(2)
    features = [
        torch.randn(2, 2, 64 // s, 96 // s, generator=generator, dtype=torch.float64)
        for s in strides
    ]
    boxes = random_boxes(16, 96, 64).reshape(2, 8, 4)
    levels = torch.arange(16).reshape(2, 8) % 4
    pooled = pool_regions(features, boxes, levels, strides, pooling)
    naive = naive_align if pooling == "align" else naive_max_pool
    for index in range(16):
        image, level = index // 8, index % 4
        box = (boxes.reshape(16, 4)[index] / strides[level]).tolist()
        torch.testing.assert_close(pooled[index], naive(features[level][image], box))


def test_feature_of_one_cell_has_its_value_everywhere() -> None:
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.2, 0.1, 0.9, 0.7]])
    cut = align_region(torch.full((3, 1, 1), 2.5), boxes)
    assert (cut[0] == 2.5).all()
    assert cut.isfinite().all()
