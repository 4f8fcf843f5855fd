"""What the service says of itself: its models and its health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelInfo:
    """A model that the service holds.

    task: "detection" or "classification"; "" for a damaged package, which has no labels either.
    manifest: everything the service says about the model, as in ``GET /v1/models/{name}``.
    """

    name: str
    version: str
    task: str
    labels: tuple[str, ...]
    manifest: Mapping[str, Any]

    @classmethod
    def from_json(cls, model: Mapping[str, Any]) -> ModelInfo:
        labels = tuple(label["name"] for label in model.get("labels", ()))
        return cls(model["name"], model["version"], model.get("task", ""), labels, model)


@dataclass(frozen=True)
class Health:
    """live: the process answers. ready: every model is loaded, so it takes requests."""

    live: bool
    ready: bool
