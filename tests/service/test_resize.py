"""Photos become inputs, and boxes on inputs become boxes on photos."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.augment import letterbox
from service.manifest import InputSpec
from service.resize import to_input

HALF = (0.5, 0.5, 0.5)
LETTERBOX = InputSpec(
    height=320, width=320, resize="letterbox", interpolation="bilinear", mean=HALF, std=HALF
)
CENTRE_CROP = InputSpec(
    height=224,
    width=224,
    resize="centre_crop",
    interpolation="bicubic",
    shorter_side=256,
    mean=HALF,
    std=HALF,
)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("size", "filled"),
    [
        ((640, 480), (320, 240)),
        ((480, 640), (240, 320)),
        ((320, 320), (320, 320)),
        ((10, 5), (320, 160)),
        ((5000, 1), (320, 1)),
        ((1, 5000), (1, 320)),
    ],
)
def test_letterbox_fits_the_photo_into_the_top_left_corner(
    size: tuple[int, int], filled: tuple[int, int]
) -> None:
    pixels = to_input(Image.new("RGB", size, (250, 0, 0)), LETTERBOX).pixels
    assert pixels.shape == (320, 320, 3)
    assert pixels.dtype == np.uint8
    is_photo = (pixels == (250, 0, 0)).all(axis=-1)
    expected = np.zeros((320, 320), dtype=bool)
    expected[: filled[1], : filled[0]] = True
    np.testing.assert_array_equal(is_photo, expected)
    assert (pixels[~is_photo] == 128).all()


@pytest.mark.parametrize("size", [(640, 480), (333, 500), (1999, 37)])
def test_a_box_comes_back_where_it_was(size: tuple[int, int]) -> None:
    width, height = size
    box = np.array([width * 0.25, height * 0.5, width * 0.75, height * 0.875])
    scale = 320 / max(size)
    on_input = box * np.array([round(width * scale) / width, round(height * scale) / height] * 2)
    placement = to_input(Image.new("RGB", size), LETTERBOX).placement
    back = placement.undo(on_input[None].astype(np.float32))
    np.testing.assert_allclose(back[0], box, rtol=1e-5)


def test_boxes_are_clipped_to_the_photo() -> None:
    placement = to_input(Image.new("RGB", (640, 480)), LETTERBOX).placement
    back = placement.undo(np.array([[-5, -5, 320, 320]], dtype=np.float32))
    np.testing.assert_allclose(back, [[0, 0, 640, 480]])


@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_90])
@pytest.mark.parametrize("name", ["cat", "astronaut", "coffee", "rocket"])
def test_centre_crop_is_the_middle_of_the_resized_photo(
    photos: Path, name: str, turn: Image.Transpose | None
) -> None:
    photo = Image.open(photos / f"{name}.jpg")
    photo = photo if turn is None else photo.transpose(turn)
    width, height = (int(256 * side / min(photo.size)) for side in photo.size)
    whole = photo.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), dtype=int)
    pixels = to_input(photo, CENTRE_CROP).pixels
    assert pixels.shape == (224, 224, 3)
    difference = np.abs(pixels.astype(int) - expected)
    # Pillow may resize rows before columns in one and after in the other, and rounds in between.
    assert difference.mean() < 0.5
    assert difference.max() <= 8


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (1, 1)])
def test_centre_crop_of_a_sliver_needs_no_more_memory_than_the_crop(size: tuple[int, int]) -> None:
    # Its shorter side at 256 pixels would make the longer one 25,600,000.
    assert to_input(Image.new("RGB", size, "red"), CENTRE_CROP).pixels.shape == (224, 224, 3)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (320, 320), (61, 999)])
def test_training_sees_what_serving_sees(size: tuple[int, int]) -> None:
    photo = noise(*size)
    trained, boxes = letterbox(photo, torch.tensor([[10.0, 20.0, 30.0, 40.0]]), 320)
    served = to_input(photo, LETTERBOX)
    np.testing.assert_array_equal(np.asarray(trained), served.pixels)
    np.testing.assert_allclose(served.placement.undo(boxes.numpy()), [[10, 20, 30, 40]], rtol=1e-5)
