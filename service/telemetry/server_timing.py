"""The header `Server-Timing`, which browsers show beside a request."""

from collections.abc import Mapping

HEADER = "Server-Timing"


def server_timing(milliseconds: Mapping[str, float]) -> str:
    """The header's value for stages by name, as W3C's Server Timing has it: ``decode;dur=5.312``.

    A name must be a token of HTTP, as those of contract 2's ``timing_ms`` are.
    """
    return ", ".join(f"{name};dur={round(value, 3)}" for name, value in milliseconds.items())
