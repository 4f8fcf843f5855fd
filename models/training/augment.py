"""Changes to a photo that keep its boxes on its objects."""

import random
from dataclasses import dataclass

import torch
from PIL import Image, ImageEnhance
from torch import Tensor

FILL = (128, 128, 128)
SMALLEST_SIDE = 4.0  # pixels of the network's input; a smaller object is no longer visible
LEAST_VISIBLE = 0.3  # share of a box's area that a crop must leave for the box to stay


def letterbox(image: Image.Image, boxes: Tensor, size: int) -> tuple[Image.Image, Tensor]:
    """Fit ``image`` into the top left corner of a ``size`` x ``size`` square, ``boxes`` with it."""
    longest = max(image.size)
    width, height = (max(1, side * size // longest) for side in image.size)
    canvas = Image.new("RGB", (size, size), FILL)
    canvas.paste(image.resize((width, height), Image.Resampling.BILINEAR))
    stretch = torch.tensor([width / image.width, height / image.height]).repeat(2)
    return canvas, boxes * stretch


@dataclass(frozen=True)
class Augment:
    """Random flip, scale jitter with crop, and colour jitter (arXiv 1911.09070, section 5.1).

    scale: range of the photo's size, as a multiple of the size that just fits. The paper's .1 to 2
        is for hundreds of epochs; a short training on few photos does better with less.
    colour: brightness, contrast and saturation vary by this share, up and down.
    """

    scale: tuple[float, float] = (0.6, 1.8)
    flip: float = 0.5
    colour: float = 0.3

    def __call__(
        self, image: Image.Image, boxes: Tensor, labels: Tensor, size: int
    ) -> tuple[Image.Image, Tensor, Tensor]:
        """A new view of ``size`` x ``size`` pixels, with the boxes that it still shows."""
        if random.random() < self.flip:
            image, boxes = flip(image, boxes)
        scale = random.uniform(*self.scale) * size / max(image.size)
        image, boxes, labels = random_view(image, boxes, labels, size, scale)
        return jitter_colour(image, self.colour), boxes, labels


def flip(image: Image.Image, boxes: Tensor) -> tuple[Image.Image, Tensor]:
    """Mirror left and right."""
    left, top, right, bottom = boxes.unbind(-1)
    mirrored = torch.stack((image.width - right, top, image.width - left, bottom), dim=-1)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mirrored


def random_view(
    image: Image.Image, boxes: Tensor, labels: Tensor, size: int, scale: float
) -> tuple[Image.Image, Tensor, Tensor]:
    """``image`` scaled by ``scale`` at a random place behind, or within, a ``size`` square."""
    width, height = (max(1, round(side * scale)) for side in image.size)
    x = random.randint(min(0, size - width), max(0, size - width))
    y = random.randint(min(0, size - height), max(0, size - height))
    canvas = Image.new("RGB", (size, size), FILL)
    canvas.paste(image.resize((width, height), Image.Resampling.BILINEAR), (x, y))
    stretch = torch.tensor([width / image.width, height / image.height]).repeat(2)
    moved = boxes * stretch + torch.tensor([x, y], dtype=torch.float32).repeat(2)
    visible = moved.clamp(0, size)
    sides, whole = visible[:, 2:] - visible[:, :2], moved[:, 2:] - moved[:, :2]
    kept = (sides.prod(dim=1) >= LEAST_VISIBLE * whole.prod(dim=1)) & (
        sides.amin(dim=1) >= SMALLEST_SIDE
    )
    return canvas, visible[kept], labels[kept]


def jitter_colour(image: Image.Image, amount: float) -> Image.Image:
    """Vary brightness, contrast and saturation, each by a random factor of 1 +- ``amount``."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(random.uniform(1 - amount, 1 + amount))
    return image
