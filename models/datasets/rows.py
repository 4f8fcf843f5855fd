"""The objects of one photo as its file has them, and what may be wrong with them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.datasets.content import Corners, Fault, Object, Outline, Photo

# What becomes of a box that reaches beyond its photo: a fault; clipped, if something of it lies
# within; or kept as it is, as is a box without area, to be measured on.
Outside = Literal["refuse", "clip", "keep"]

# Public data sets have boxes that stick out of their photos by a rounding; these are no fault.
OVERHANG = 1.0  # pixels
THINNEST = 0.01  # pixels; of a thinner box float32 may leave nothing
LARGEST = 1e9  # no coordinate is; NaN, infinity and larger whole numbers than a float holds fail


@dataclass(frozen=True, slots=True)
class Row:
    """An object as its file has it, and its class by the id or name that the file uses; the other
    fields are those of `Object`. One that is ignored is not a fault, whatever it is."""

    where: str
    category: int | str
    box: Corners
    outline: Outline | None = None
    area: float | None = None
    ignored: bool = False


class BadRow(Exception):
    """A row that cannot be read; the message says why."""


@dataclass(frozen=True)
class RowCheck:
    """Turns rows into photos, and lists what is wrong with them in ``faults``.

    labels: of each category, by the id or name that the rows use.
    """

    labels: dict[Any, int]
    outside: Outside = "refuse"
    faults: list[Fault] = field(default_factory=list)

    def photo(self, image_id: int, path: Path, size: tuple[int, int], rows: Iterable[Row]) -> Photo:
        """A photo with those of ``rows`` that are right."""
        photo = Photo(image_id, path, *size)
        objects = []
        for row in rows:
            fault = self._fault_of(row, photo)
            if fault is None:
                label = self.labels[row.category]
                objects.append(Object(label, row.box, row.outline, row.area, row.ignored))
            elif not row.ignored:
                self.faults.append(fault)
        return Photo(image_id, path, *size, tuple(objects))

    def _fault_of(self, row: Row, photo: Photo) -> Fault | None:
        if row.category not in self.labels:
            message = f"class {row.category} is not in the categories"
            return Fault(row.where, "unknown class", message)
        if self.outside == "keep":
            return None
        left, top, right, bottom = row.box
        if min(right - left, bottom - top) < THINNEST:
            size = f"{right - left:g} x {bottom - top:g} pixels"
            return Fault(row.where, "empty box", f"its box is {size}")
        clipped = photo.clip(row.box)
        overhang = max(-left, -top, right - photo.width, bottom - photo.height)
        rest = min(clipped[2] - clipped[0], clipped[3] - clipped[1])
        if rest < THINNEST or (overhang > OVERHANG and self.outside == "refuse"):
            message = (
                f"its box {_numbers(row.box)} (left, top, right, bottom) is not within the photo's"
                f" {photo.width} x {photo.height} pixels"
            )
            return Fault(row.where, "box outside", message)
        return None


def enclose(outline: Outline) -> Corners:
    """The box around an outline."""
    points = np.concatenate(outline)
    left, top, right, bottom = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    return left, top, right, bottom


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST


def whole(value: Any) -> int | None:
    """``value`` as a whole number, which some tools write as 640.0 or "640"; None if it is none."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    return int(value) if type(value) is str and value.isascii() and value.isdigit() else None


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def shown(value: Any) -> str:
    """``value`` within a message of one line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
