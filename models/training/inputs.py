"""A photo as a detector's input when it is measured: exactly as the service makes it."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from models.training.augment import Loaded, letterbox
from service.manifest import InputSpec

Size = tuple[int, int]  # width, height
ROUNDING = 1e-6  # pixels; what binary fractions may lose of a whole one


def training_side(spec: InputSpec) -> int:
    """Side of the square views that a detector is trained on, in pixels.

    Where inputs vary in size it is that of their shorter side: a view is a part of the photo at the
    scale that the service gives it, since what varies makes no batch.
    """
    return limits(spec)[0] if spec.varies else spec.height


def limits(spec: InputSpec) -> tuple[int, int]:
    """What a photo's shorter and longer side are scaled to at most, in pixels."""
    if not spec.varies:
        return spec.height, spec.height
    assert spec.shorter_side is not None  # every input that varies has both
    assert spec.longer_side is not None
    return spec.shorter_side, spec.longer_side


def photo_pixels(photo: Size, spec: InputSpec) -> float:
    """How many of the ``photo``'s pixels make up one of the input's, along a side."""
    shorter, longer = limits(spec)
    return max(max(photo) / longer, min(photo) / shorter)


def input_size(photo: Size, spec: InputSpec) -> Size:
    """Size of the input that is made of ``photo``."""
    if not spec.varies:
        return spec.width, spec.height
    width, height = (_filled(side, spec) for side in _scaled(photo, spec))
    return width, height


def to_input(loaded: Loaded, spec: InputSpec) -> Loaded:
    """A photo in the top left corner of its input, its boxes with it."""
    photo, boxes, labels = loaded
    if not spec.varies:
        return *letterbox(photo, boxes, spec.height, spec.fill), labels
    width, height = _scaled(photo.size, spec)
    canvas = Image.new("RGB", input_size(photo.size, spec), spec.fill)
    canvas.paste(_interpolate(photo, width, height))
    stretch = torch.tensor([width / photo.width, height / photo.height]).repeat(2)
    return canvas, boxes * stretch, labels


def _scaled(photo: Size, spec: InputSpec) -> Size:
    scale = 1 / photo_pixels(photo, spec)
    width, height = (max(1, int(side * scale + ROUNDING)) for side in photo)
    return width, height


def _filled(side: int, spec: InputSpec) -> int:
    divisor = spec.divisor or 1
    return -(-side // divisor) * divisor


def _interpolate(photo: Image.Image, width: int, height: int) -> Image.Image:
    """Bilinear without smoothing, as torchvision's detectors were trained."""
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1).unsqueeze(0).float()
    scaled: Tensor = F.interpolate(pixels, size=(height, width), mode="bilinear")
    rounded = (scaled[0].permute(1, 2, 0) + 0.5).to(torch.uint8)
    return Image.fromarray(rounded.numpy())
