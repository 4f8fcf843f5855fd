"""One box of a file, and what may be wrong with it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.training.annotations.content import Corners, Fault, Photo

# Public data sets have boxes that stick out of their photos by a rounding; these are clipped.
OVERHANG = 1.0  # pixels
THINNEST = 0.01  # pixels; of a thinner box float32 may leave nothing
LARGEST = 1e9  # no coordinate is; NaN, infinity and larger whole numbers than a float holds fail


@dataclass(frozen=True)
class Row:
    """A box as its file has it, and its class by the id or name that the file uses.

    ignored: see `Photo`; such a box is not a fault, whatever it is.
    """

    where: str
    category: int | str
    corners: Corners
    ignored: bool = False


class BadRow(Exception):
    """A row that cannot be read; the message says why."""


def make_photo(
    image_id: int,
    path: Path,
    width: int,
    height: int,
    rows: Iterable[Row],
    known: dict[Any, int],
    faults: list[Fault],
) -> Photo:
    """A photo with those of ``rows`` that are right; ``known`` has the label of each category."""
    boxes, labels, ignored = [], [], []
    for row in rows:
        left, top, right, bottom = row.corners
        clipped = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
        fault = _fault_of(row, clipped, width, height, known)
        if fault is None and row.ignored:
            ignored.append((clipped, known[row.category]))
        elif fault is None:
            boxes.append(clipped)
            labels.append(known[row.category])
        elif not row.ignored:
            faults.append(fault)
    return Photo(
        image_id,
        path,
        width,
        height,
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        tuple(ignored),
    )


def _fault_of(
    row: Row, clipped: Corners, width: int, height: int, known: dict[Any, int]
) -> Fault | None:
    left, top, right, bottom = row.corners
    if row.category not in known:
        return Fault(row.where, "unknown class", f"class {row.category} is not in the categories")
    if min(right - left, bottom - top) < THINNEST:
        size = f"{right - left:g} x {bottom - top:g} pixels"
        return Fault(row.where, "empty box", f"its box is {size}")
    overhang = max(-left, -top, right - width, bottom - height)
    rest = min(clipped[2] - clipped[0], clipped[3] - clipped[1])
    if overhang > OVERHANG or rest < THINNEST:
        message = (
            f"its box {_numbers(row.corners)} (left, top, right, bottom) is not within the photo's"
            f" {width} x {height} pixels"
        )
        return Fault(row.where, "box outside", message)
    return None


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST


def whole(value: Any) -> int | None:
    """``value`` as a whole number, which some tools write as 640.0; None if it is none."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def shown(value: Any) -> str:
    """``value`` within a message of one line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
