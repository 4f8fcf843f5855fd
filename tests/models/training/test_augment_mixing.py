"""Views made of several."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.augment.geometry import Loaded
from models.training.augment.mixing import assemble, blend, random_share, random_tiles

SIZES = [32, 127, 320]


def flat(
    colour: tuple[int, int, int], size: tuple[int, int], box: list[float], label: int
) -> Loaded:
    return Image.new("RGB", size, colour), torch.tensor([box]), torch.tensor([label])


@pytest.mark.parametrize("size", SIZES)
def test_tiles_fill_the_square_without_overlap(size: int) -> None:
    for seed in range(50):
        covered = np.zeros((size, size), dtype=int)
        for left, top, right, bottom in random_tiles(size, random.Random(seed)):
            assert min(right - left, bottom - top) >= 0.2 * size - 1
            covered[top:bottom, left:right] += 1
        assert (covered == 1).all()


def test_tiles_differ_from_one_mosaic_to_the_next() -> None:
    assert len({tuple(random_tiles(320, random.Random(seed))) for seed in range(20)}) > 15


def test_a_mosaic_has_each_view_in_its_tile_with_its_boxes() -> None:
    tiles = [(0, 0, 30, 40), (30, 0, 100, 40), (0, 40, 30, 100), (30, 40, 100, 100)]
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
    views = [
        flat(colour, (right - left, bottom - top), [1.0, 2, 20, 25], label)
        for label, (colour, (left, top, right, bottom)) in enumerate(
            zip(colours, tiles, strict=True)
        )
    ]
    image, boxes, labels = assemble(views, tiles, 100)
    assert image.size == (100, 100)
    for (left, top, right, bottom), colour in zip(tiles, colours, strict=True):
        assert (np.asarray(image)[top:bottom, left:right] == colour).all()
    assert boxes.tolist() == [[1, 2, 20, 25], [31, 2, 50, 25], [1, 42, 20, 65], [31, 42, 50, 65]]
    assert labels.tolist() == [0, 1, 2, 3]
    assert boxes.dtype == torch.float32


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_mixup_is_the_weighted_mean_with_the_boxes_of_both(share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    boxes = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[5.0, 6, 7, 8]])
    first, second = (
        (Image.fromarray(pixels[i]), boxes[i], torch.tensor([i + 5])) for i in range(2)
    )
    image, both, labels = blend(first, second, share)
    expected = share * pixels[0] + (1 - share) * pixels[1]
    assert np.abs(np.asarray(image) - expected).max() <= 1
    assert both.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert labels.tolist() == [5, 6]


def test_both_photos_of_a_mixup_remain_visible() -> None:
    rng = random.Random(0)
    shares = np.array([random_share(rng) for _ in range(5000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.std() == pytest.approx(0.12, abs=0.01)
    assert ((shares > 0.2) & (shares < 0.8)).mean() > 0.98
