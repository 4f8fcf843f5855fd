"""The plates with label and score at the boxes: their text and where each is placed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from PIL import ImageFont

from boxport_client._boxes import Box, overlapping
from boxport_client._detections import Detection

BOX_PER_TEXT = 6  # a box's side / size of the letters
MAX_SIDE_PER_TEXT = 70  # the photo's side / size of the letters; smaller ones get lost in it
MIN_SIDE_PER_TEXT = 34  # and larger ones hide it
MIN_TEXT = 11  # pixels; smaller letters of this font cannot be read


def fitting_scale(boxes: Sequence[Box], size: tuple[int, int]) -> float:
    """The size of letters, in pixels, that fits the median box and the photo of ``size``."""
    side = math.sqrt(size[0] * size[1])
    largest = side / MIN_SIDE_PER_TEXT
    typical = median(math.sqrt(box.area) for box in boxes) / BOX_PER_TEXT if boxes else largest
    return min(max(typical, side / MAX_SIDE_PER_TEXT), largest)


@dataclass(frozen=True)
class Lettering:
    """The font of all plates of a photo. ``size``, ``padding`` and ``height`` are pixels."""

    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    size: int
    padding: int
    height: int

    @classmethod
    def of_scale(cls, scale: float) -> Lettering:
        """Letters of this many pixels, as far as they can be read."""
        letters = max(MIN_TEXT, round(scale))
        font = ImageFont.load_default(size=letters)
        return cls(font, letters, padding=round(letters * 0.4), height=round(letters * 1.5))

    def width(self, text: str) -> int:
        """Of a plate with ``text``."""
        return round(self.font.getlength(text)) + 2 * self.padding

    def fitting(self, detection: Detection, width: int) -> str:
        """Label and score, or as much of the label as a plate of ``width`` pixels has room for."""
        label, score = detection.label, detection.score
        if detection.classifications:  # what a second model says of it tells more
            best = detection.classifications[0]
            label, score = f"{label}: {best.label}", best.score
        text = f"{label} {score:.0%}"
        if self.width(text) <= width or self.width(label) <= width:
            return text if self.width(text) <= width else label
        while label and self.width(label + "...") > width:
            label = label[:-1]
        return label.rstrip() + "..."


@dataclass(frozen=True)
class Plate:
    """One plate. ``area`` has whole pixels."""

    text: str
    label_id: int
    area: Box


def place(
    detections: Sequence[Detection], size: tuple[int, int], lettering: Lettering
) -> list[Plate]:
    """A plate for each of the detections, which come best first; the best on top, so last.

    Each takes the first place at its box that is free of the plates before it, or else the one
    that hides least of them. None reaches beyond the photo of (width, height) ``size``.
    """
    plates: list[Plate] = []
    taken: list[Box] = []
    for detection in detections:
        text = lettering.fitting(detection, size[0])
        plate = (min(lettering.width(text), size[0]), min(lettering.height, size[1]))
        area = _roomiest(_places(detection.box, plate, size), taken)
        taken.append(area)
        plates.append(Plate(text, detection.label_id, area))
    return plates[::-1]


def _roomiest(places: Iterable[Box], taken: Sequence[Box]) -> Box:
    """The one of the places that hides least, the first of those that hide nothing."""
    return min(
        places,
        key=lambda area: sum(area.intersection(other) for other in overlapping(area, taken)),
    )


def _places(box: Box, plate: tuple[int, int], size: tuple[int, int]) -> Iterator[Box]:
    """Areas at the box for a plate of (width, height) ``plate``, from the one that reads best.

    Above, inside at the top, below, inside at the bottom, each from the left and from the right;
    then, for boxes that leave no such room, the nearest that lies within the photo.
    """
    width, height = plate
    left, top, right, bottom = (round(edge) for edge in box)
    for y in (top - height, top, bottom, bottom - height):
        for x in (left, right - width):
            if 0 <= x <= size[0] - width and 0 <= y <= size[1] - height:
                yield Box(x, y, x + width, y + height)
    x = min(max(0, left), size[0] - width)
    for y in (top - height, top, bottom):
        y = min(max(0, y), size[1] - height)
        yield Box(x, y, x + width, y + height)
