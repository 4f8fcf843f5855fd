"""What is asked about a photo, beside the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Union
from urllib.parse import urlencode

Plain = Union[str, float, int]


@dataclass(frozen=True)
class DetectQuestion:
    """The parameters of `Client.detect`; None leaves it to the model. Raises ValueError."""

    model: str | None = None
    score_threshold: float | None = None
    iou_threshold: float | None = None
    class_agnostic: bool | None = None
    max_detections: int | None = None
    labels: Sequence[str] | None = None
    max_side: int | None = None
    tile: int | None = None
    overlap: float = 0.2

    def __post_init__(self) -> None:
        check_sides(max_side=self.max_side, tile=self.tile)
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must be at least 0 and below 1, not {self.overlap}")

    @property
    def query(self) -> str:
        """Those parameters that the service is to know, as a URL's query."""
        return to_query(
            {
                "model": self.model,
                "score_threshold": self.score_threshold,
                "iou_threshold": self.iou_threshold,
                "class_agnostic": self.class_agnostic,
                "max_detections": self.max_detections,
                "labels": self.labels,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """What makes an answer this question's, as plain values; for the journal."""
        return {"call": "detect", **_plain(asdict(self))}


@dataclass(frozen=True)
class ClassifyQuestion:
    """The parameters of `Client.classify`; None leaves it to the model. Raises ValueError."""

    model: str | None = None
    top_k: int | None = None
    max_side: int | None = None

    def __post_init__(self) -> None:
        check_sides(max_side=self.max_side)

    @property
    def query(self) -> str:
        """Those parameters that the service is to know, as a URL's query."""
        return to_query({"model": self.model, "top_k": self.top_k})

    def to_dict(self) -> dict[str, Any]:
        """What makes an answer this question's, as plain values; for the journal."""
        return {"call": "classify", **_plain(asdict(self))}


def to_query(parameters: dict[str, Plain | Sequence[str] | None]) -> str:
    """A URL's query of those that are not None; lists repeat their name."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None:
            continue
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, (str, float, int)) or not isinstance(value, Sequence):
            pairs.append((name, str(value)))
        else:
            pairs.extend((name, item) for item in value)
    return urlencode(pairs)


def check_sides(**sides: int | None) -> None:
    """Raise ValueError unless each is a number of pixels, or None."""
    for name, side in sides.items():
        if side is not None and side < 1:
            raise ValueError(f"{name} must be at least 1 pixel, not {side}")


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Without those that are not given, and as JSON would give them back."""
    given = {name: value for name, value in parameters.items() if value is not None}
    for name, value in given.items():
        if hasattr(value, "item"):  # numpy's numbers
            given[name] = value.item()
    if "labels" in given:
        labels = given["labels"]
        given["labels"] = [labels] if isinstance(labels, str) else list(labels)
    if "tile" not in given:
        given.pop("overlap", None)
    return given
