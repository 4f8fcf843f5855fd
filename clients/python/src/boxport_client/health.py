"""How a service is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """live: the process answers. ready: every model is loaded, so it takes questions."""

    live: bool
    ready: bool
