"""What a classifier says of a photo, or of a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from boxport_client._boxes import Box


@dataclass(frozen=True)
class Classification:
    """One class. ``score`` is its probability, in 0..1."""

    label: str
    label_id: int
    score: float

    def to_dict(self) -> dict[str, Any]:
        """The class as in the service's JSON."""
        return {"label": self.label, "label_id": self.label_id, "score": self.score}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Classification:
        return cls(content["label"], content["label_id"], content["score"])


@dataclass(frozen=True)
class Region:
    """What a part of a photo shows, best first; iterates over the classes.

    box: the region that was asked for, as far as it lies within the photo.
    """

    box: Box
    classifications: tuple[Classification, ...]

    def __iter__(self) -> Iterator[Classification]:
        return iter(self.classifications)

    def __len__(self) -> int:
        return len(self.classifications)

    @property
    def best(self) -> Classification:
        """The class with the highest score."""
        return self.classifications[0]

    def to_dict(self) -> dict[str, Any]:
        """The region as in the service's JSON."""
        found = [one.to_dict() for one in self.classifications]
        return {"box": list(self.box), "classifications": found}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Region:
        return cls(Box(*content["box"]), read_classes(content["classifications"]))


def read_classes(rows: Iterable[Mapping[str, Any]]) -> tuple[Classification, ...]:
    return tuple(map(Classification.from_dict, rows))
