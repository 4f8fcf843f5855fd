"""The parameters of a request, beside the photo."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar
from urllib.parse import urlencode

from boxport_client._tiling import MAX_OVERLAP

# What the client does itself; the service never sees these.
CLIENT_SIDE = frozenset({"max_side", "tile", "overlap"})
SIDES = 4  # of a region: left, top, right, bottom


class Parameters:
    """What the parameters of both tasks share."""

    call: ClassVar[str]
    regions: Sequence[Sequence[float]] | None

    @property
    def query(self) -> str:
        """The parameters that the service takes, as a URL's query."""
        return to_query({k: v for k, v in vars(self).items() if k not in CLIENT_SIDE})

    def _take_regions(self, *others: str) -> None:
        """Have regions as plain numbers; raises ValueError, also where the photo is not sent as it
        is because one of ``others`` is given."""
        if self.regions is None:
            return
        object.__setattr__(self, "regions", _to_regions(self.regions))
        for name in others:
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: regions are in pixels of the photo as it is; not both")

    def to_dict(self) -> dict[str, Any]:
        """The call and every parameter that affects its result, as plain values for the journal."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        for name, value in given.items():
            if hasattr(value, "item"):  # numpy's numbers
                given[name] = value.item()
        if "tile" not in given:
            given.pop("overlap", None)
        return {"call": self.call, **given}


@dataclass(frozen=True)
class DetectParameters(Parameters):
    """The parameters of `Client.detect`; None is the model's default. Raises ValueError."""

    call = "detect"
    model: str | None = None
    score_threshold: float | None = None
    iou_threshold: float | None = None
    class_agnostic: bool | None = None
    max_detections: int | None = None
    labels: Sequence[str] | None = None
    regions: Sequence[Sequence[float]] | None = None
    then: str | None = None
    top_k: int | None = None
    region_padding: float | None = None
    region_resize: str | None = None
    contours: bool | None = None
    novelty: bool | None = None
    max_side: int | None = None
    tile: int | None = None
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if self.labels is not None:
            object.__setattr__(self, "labels", _to_list(self.labels))
            if not self.labels:
                raise ValueError("labels is empty: give at least one, or None for all")
        _check_pixels("max_side", self.max_side)
        _check_pixels("tile", self.tile)
        self._take_regions("max_side", "tile")
        if self.novelty and self.tile is not None:
            raise ValueError("novelty: is of the photo as a whole; not with tile")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ValueError(f"overlap must be in 0..{MAX_OVERLAP}, not {self.overlap}")


@dataclass(frozen=True)
class ClassifyParameters(Parameters):
    """The parameters of `Client.classify`; None is the model's default. Raises ValueError."""

    call = "classify"
    model: str | None = None
    top_k: int | None = None
    regions: Sequence[Sequence[float]] | None = None
    region_padding: float | None = None
    region_resize: str | None = None
    novelty: bool | None = None
    max_side: int | None = None

    def __post_init__(self) -> None:
        _check_pixels("max_side", self.max_side)
        self._take_regions("max_side")
        if self.novelty and self.regions is not None:
            raise ValueError("novelty: is of the photo as a whole; not with regions")


def to_query(parameters: Mapping[str, Any]) -> str:
    """The URL query of those parameters that are not None; a list repeats its name."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None:
            continue
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            pairs.extend((name, _to_text(item)) for item in value)
        else:
            pairs.append((name, str(value)))
    return urlencode(pairs)


def _to_text(item: str | Sequence[float]) -> str:
    """A label, or a region: its sides with commas between them."""
    return item if isinstance(item, str) else ",".join(f"{side:.12g}" for side in item)


def _to_regions(regions: Iterable[Iterable[float]]) -> list[list[float]]:
    """Boxes in whatever holds them, an array too, as plain numbers. Raises ValueError."""
    found: list[list[float]] = []
    for region in regions:
        try:
            sides = [float(side) for side in region]
        except (TypeError, ValueError):
            sides = []
        if len(sides) != SIDES or not all(map(math.isfinite, sides)):
            raise ValueError(f"regions: {region!r} is not left, top, right, bottom")
        found.append(sides)
    if not found:
        raise ValueError("regions is empty: give at least one, or None for the whole photo")
    return found


def _to_list(labels: Iterable[str]) -> list[str]:
    """One label, or several in whatever holds them; a set has no order, and gets one."""
    if isinstance(labels, str):
        return [labels]
    return [str(label) for label in (sorted(labels) if isinstance(labels, Set) else labels)]


def _check_pixels(name: str, pixels: int | None) -> None:
    if pixels is None:
        return
    try:
        is_whole = index(pixels) >= 1
    except TypeError:
        is_whole = False
    if not is_whole:
        raise ValueError(f"{name} must be a whole number of pixels, at least 1, not {pixels!r}")
