"""The one place that states the version; the package's metadata are made from it."""

from __future__ import annotations

__version__ = "0.2.0"
