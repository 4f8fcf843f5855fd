"""The parts of a photo that boxes mark."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from boxport_client._boxes import Box, Contour
from boxport_client._photos import Photo, to_picture
from boxport_client._pixels import opaque


def rgb_picture(photo: Photo, expected_size: tuple[int, int] | None = None) -> Image.Image:
    """The pixels of ``photo`` as the service sees them: upright, RGB, in 8 bits.

    Always a copy. Raises PhotoError if the photo cannot be read, and ValueError if its (width,
    height) is not ``expected_size``.
    """
    picture = opaque(to_picture(photo))
    if expected_size is not None and picture.size != tuple(expected_size):
        raise ValueError(
            f"the photo is {picture.width} x {picture.height},"
            f" the result is for one of {expected_size[0]} x {expected_size[1]}"
        )
    return picture.copy() if picture is photo else picture


def crop(picture: Image.Image, box: Box, margin: float = 0.0) -> Image.Image:
    """Every pixel that ``box`` touches, with ``margin`` (>= 0) of its sides added on each side.

    At least one pixel, never one outside the picture. Raises ValueError for a margin below 0 and
    for a box that lies outside the picture.
    """
    if margin < 0:
        raise ValueError(f"margin is {margin}, it must be at least 0")
    width, height = picture.size
    if box.left > width or box.top > height or box.right < 0 or box.bottom < 0:
        raise ValueError(f"the box {tuple(box)} lies outside the photo of {width} x {height}")
    x, y = margin * box.width, margin * box.height
    left = min(max(0, math.floor(box.left - x)), width - 1)
    top = min(max(0, math.floor(box.top - y)), height - 1)
    right = min(max(left + 1, math.ceil(box.right + x)), width)
    bottom = min(max(top + 1, math.ceil(box.bottom + y)), height)
    return picture.crop((left, top, right, bottom))


def outline_mask(contour: Contour, box: Box, size: tuple[int, int] | None) -> Image.Image:
    """The pixels inside ``contour`` and on its edge; see `Detection.mask`."""
    left, top = (0, 0) if size is not None else (math.floor(box.left), math.floor(box.top))
    width, height = size or (
        max(1, math.ceil(box.right) - left),
        max(1, math.ceil(box.bottom) - top),
    )
    mask = Image.new("L", (width, height))
    # Pillow counts places from the middle of the first pixel, and boxes from its corner
    points = [(x - left - 0.5, y - top - 0.5) for x, y in contour]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask
