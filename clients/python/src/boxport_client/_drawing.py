"""Boxes and labels on photos."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from boxport_client._boxes import Box, Contour
from boxport_client._detections import Detection
from boxport_client._palette import Colour, label_colour, text_colour
from boxport_client._plates import Lettering, Plate, fitting_scale, place

Pixels = tuple[int, int, int, int]
TEXT_PER_LINE = 5.5  # size of the letters / width of a frame's line
CASING = 90  # opacity, of 255, of the thin lines beside a frame


def draw_detections(
    canvas: Image.Image,
    detections: Sequence[Detection],
    alpha: float,
    labels: bool,
    line_width: int | None,
) -> Image.Image:
    """Draw on ``canvas``, which is RGB, and return it; see `DetectionResult.draw`."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, it must be in 0..1")
    if line_width is not None and line_width < 1:
        raise ValueError(f"line_width is {line_width}, it must be at least 1")
    scale = fitting_scale([detection.box for detection in detections], canvas.size)
    line = line_width or max(1, round(scale / TEXT_PER_LINE))
    pen = ImageDraw.Draw(canvas, "RGBA")  # an RGBA pen mixes its colour into an RGB picture
    below_first = [
        (detection, _pixels(detection.box, canvas.size), label_colour(detection.label_id))
        for detection in reversed(detections)
    ]
    if alpha:
        for detection, box, colour in below_first:
            fill = (*colour, round(255 * alpha))
            if detection.contour is None:
                pen.rectangle(box, fill=fill)
            else:
                pen.polygon(_closed(detection.contour)[:-1], fill=fill)
    for detection, box, colour in below_first:
        if detection.contour is None:
            _draw_frame(pen, box, colour, line)
        else:
            _draw_frame(pen, box, colour, max(1, line // 2))
            _draw_outline(pen, detection.contour, colour, line)
    if labels:
        lettering = Lettering.of_scale(scale)
        for plate in place(detections, canvas.size, lettering):
            _draw_plate(pen, plate, lettering)
    return canvas


def _draw_frame(pen: ImageDraw.ImageDraw, box: Pixels, colour: Colour, line: int) -> None:
    """A frame inside the box's edges, between thin lines that set it off from the photo."""
    left, top, right, bottom = box
    thin = max(1, line // 4)
    casing = (*text_colour(colour), CASING)
    pen.rectangle((left - thin, top - thin, right + thin, bottom + thin), None, casing, thin)
    if min(right - left, bottom - top) > 2 * (line + thin):
        inner = (left + line, top + line, right - line, bottom - line)
        pen.rectangle(inner, None, casing, thin)
    pen.rectangle(box, None, colour, line)


def _draw_outline(pen: ImageDraw.ImageDraw, contour: Contour, colour: Colour, line: int) -> None:
    """A line along the contour, on a thin one that sets it off from the photo."""
    path, thin = _closed(contour), max(1, line // 4)
    pen.line(path, (*text_colour(colour), CASING), line + 2 * thin, "curve")
    pen.line(path, colour, line, "curve")


def _closed(contour: Contour) -> list[tuple[float, float]]:
    """Where Pillow finds the vertices, whose pixels have their middle at whole numbers; the first
    again at the end."""
    path = [(x - 0.5, y - 0.5) for x, y in contour]
    return [*path, path[0]]


def _draw_plate(pen: ImageDraw.ImageDraw, plate: Plate, lettering: Lettering) -> None:
    colour = label_colour(plate.label_id)
    left, top, right, bottom = plate.area
    pen.rounded_rectangle((left, top, right - 1, bottom - 1), lettering.size / 6, fill=colour)
    middle = (left + lettering.padding, (top + bottom) / 2)
    pen.text(middle, plate.text, fill=text_colour(colour), font=lettering.font, anchor="lm")


def _pixels(box: Box, size: tuple[int, int]) -> Pixels:
    """First and last column and row of the box in a picture of ``size``, one pixel at least."""
    width, height = size
    left, top = min(max(0, round(box.left)), width - 1), min(max(0, round(box.top)), height - 1)
    right, bottom = min(round(box.right), width) - 1, min(round(box.bottom), height) - 1
    return left, top, max(left, right), max(top, bottom)
