"""Boxes in a photo, in its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

Contour = tuple[tuple[float, float], ...]
"""A closed polygon: x and y of each vertex, in pixels of the upright photo."""


class Box(NamedTuple):
    """Corners in pixels of the upright photo; x grows to the right and y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """Left, top, width, height: COCO's order."""
        return self.left, self.top, self.right - self.left, self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """In square pixels; 0 if a side is not positive."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    @property
    def centre(self) -> tuple[float, float]:
        """Its x and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def normalized(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Left, top, right, bottom as shares, in 0..1, of a photo of this size."""
        return self.left / width, self.top / height, self.right / width, self.bottom / height

    def intersection(self, other: Box) -> float:
        """The area that the two share, in square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return width * height if width > 0 and height > 0 else 0.0

    def iou(self, other: Box) -> float:
        """Intersection over union, in 0..1; 0 if neither has an area."""
        shared = self.intersection(other)
        return shared / (self.area + other.area - shared) if shared else 0.0

    def shifted(self, x: float, y: float) -> Box:
        """The box moved by ``x`` to the right and ``y`` downwards."""
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)


def polygon_area(contour: Contour) -> float:
    """In square pixels."""
    around = zip(contour, (*contour[1:], *contour[:1]), strict=True)
    return abs(sum(x * next_y - y * next_x for (x, y), (next_x, next_y) in around)) / 2


def overlapping(box: Box, others: Iterable[Box]) -> Iterator[Box]:
    """Those that share an area with ``box``: usually few of many, so the test is a cheap one."""
    left, top, right, bottom = box
    for other in others:
        other_left, other_top, other_right, other_bottom = other
        if other_left < right and left < other_right and other_top < bottom and top < other_bottom:
            yield other
