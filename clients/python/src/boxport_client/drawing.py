"""Boxes and labels on photos."""

from __future__ import annotations

import colorsys
import zlib
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from boxport_client.photos import to_picture

if TYPE_CHECKING:
    from boxport_client.photos import Photo
    from boxport_client.results import Detection, DetectionResult

Colour = tuple[int, int, int]
GOLDEN_RATIO = 0.618034


def draw_detections(photo: Photo, result: DetectionResult) -> Image.Image:
    """A copy of ``photo``, upright and in RGB, with ``result`` drawn on it, the best on top.

    Raises PhotoError if the photo cannot be read, and ValueError if it is not the one that the
    result is of, by its size.
    """
    canvas = to_picture(photo).convert("RGB")
    if canvas.size != (result.width, result.height):
        raise ValueError(
            f"the photo is {canvas.width} x {canvas.height},"
            f" the result is of one of {result.width} x {result.height}"
        )
    pen = ImageDraw.Draw(canvas)
    text_size = max(12, min(canvas.size) // 24)
    font = ImageFont.load_default(size=text_size)
    for detection in reversed(result.detections):
        _draw_one(pen, canvas.size, detection, font, text_size)
    return canvas


def label_colour(label: str) -> Colour:
    """A bright colour that is always the same for a label."""
    hue = zlib.crc32(label.encode()) * GOLDEN_RATIO % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(plate: Colour) -> str:
    """Black or white, whichever is easier to read on ``plate`` (ITU-R BT.601 luma)."""
    red, green, blue = plate
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _draw_one(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    detection: Detection,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text_size: int,
) -> None:
    """A frame, and a plate with label and score above it, or inside where there is no room."""
    colour = label_colour(detection.label)
    line = max(2, text_size // 6)
    left, top, right, bottom = detection.box
    pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=line)
    text = f"{detection.label} {detection.score:.0%}"
    width = pen.textlength(text, font=font) + text_size * 0.6
    height = text_size * 1.4
    x = min(max(0.0, left), max(0.0, size[0] - width))
    y = top - height if top >= height else min(max(0.0, top), max(0.0, size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    middle = (x + text_size * 0.3, y + height / 2)
    pen.text(middle, text, fill=text_colour(colour), font=font, anchor="lm")
