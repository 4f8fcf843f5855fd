"""The number of this release: the one place that states it (docs/CONTRIBUTING.md)."""

__version__ = "0.2.0"
