"""Requests of loads, and their throughput."""

import base64
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.load import Outcome, Request
from tests.e2e.server import Server


def port_of(server: Server) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def photo_requests(photos: Path, path: str, **headers: str) -> list[Request]:
    """Each sample photo as a raw body."""
    return [
        Request(
            photo.stem,
            "POST",
            path,
            {"Content-Type": "image/jpeg", **headers},
            base64.b64encode(photo.read_bytes()).decode(),
        )
        for photo in sorted(photos.glob("*.jpg"))
    ]


def per_second(outcomes: Sequence[Outcome]) -> float:
    """Answers a second."""
    answered = [outcome for outcome in outcomes if outcome.status == 200]
    return len(answered) / max(outcome.ended for outcome in outcomes)
