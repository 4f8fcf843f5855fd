"""Whatever happens to a photo, its boxes stay on their objects."""

import random

import pytest
import torch
from PIL import Image

from models.training.augment import Augment, flip, letterbox, random_view

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
BOXES = torch.tensor([[20.0, 30, 90, 80], [120, 10, 180, 120], [40, 95, 110, 140]])
LABELS = torch.arange(3)


def picture() -> Image.Image:
    """Grey, with a rectangle of its own colour for each box."""
    image = Image.new("RGB", (200, 150), (128, 128, 128))
    for box, colour in zip(BOXES.int().tolist(), COLOURS, strict=True):
        image.paste(colour, tuple(box))
    return image


def extent(image: Image.Image, colour: tuple[int, int, int]) -> torch.Tensor:
    """The box around all pixels near ``colour``."""
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    pixels = pixels.reshape(image.height, image.width, 3).int()
    rows, columns = ((pixels - torch.tensor(colour)).abs().sum(-1) < 200).nonzero(as_tuple=True)
    corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.tensor(corners, dtype=torch.float32)


def assert_on_objects(image: Image.Image, boxes: torch.Tensor, labels: torch.Tensor) -> None:
    for box, label in zip(boxes, labels.tolist(), strict=True):
        torch.testing.assert_close(box, extent(image, COLOURS[label]), atol=1.6, rtol=0)


def test_letterbox_keeps_boxes_on_their_objects() -> None:
    image, boxes = letterbox(picture(), BOXES, 320)
    assert image.size == (320, 320)
    assert_on_objects(image, boxes, LABELS)


def test_flip_keeps_boxes_on_their_objects() -> None:
    image, boxes = flip(picture(), BOXES)
    assert_on_objects(image, boxes, LABELS)
    torch.testing.assert_close(flip(image, boxes)[1], BOXES)


@pytest.mark.parametrize("seed", range(30))
def test_random_views_keep_boxes_on_their_objects(seed: int) -> None:
    random.seed(seed)
    augment = Augment(scale=(0.4, 2.5), colour=0.0)
    image, boxes, labels = augment(picture(), BOXES, LABELS, 256)
    assert image.size == (256, 256)
    assert ((boxes >= 0) & (boxes <= 256)).all()
    assert_on_objects(image, boxes, labels)


def test_objects_cut_off_by_the_crop_are_left_out() -> None:
    seen = set()
    for seed in range(40):
        random.seed(seed)
        _, boxes, labels = random_view(picture(), BOXES, LABELS, 100, 2.0)
        assert len(boxes) == len(labels)
        seen.add(len(boxes))
    assert min(seen) == 0
    assert max(seen) >= 1


def test_colour_jitter_leaves_boxes_alone() -> None:
    random.seed(1)
    augment = Augment(scale=(1.0, 1.0), flip=0.0, colour=0.5)
    _, boxes, _ = augment(picture(), BOXES, LABELS, 200)
    torch.testing.assert_close(boxes[:, 2] - boxes[:, 0], BOXES[:, 2] - BOXES[:, 0])
