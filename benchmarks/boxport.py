"""Boxport as `make serve` starts it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.load import Shot
from benchmarks.packages import ROOT
from benchmarks.peers.table import raw_body
from benchmarks.server import Server, running

NAME = "Boxport"
COMMAND = (
    Path(sys.executable).with_name("bentoml"),
    *("serve", "service.app:Boxport", "--host", "127.0.0.1", "--port", "{port}"),
)


@contextmanager
def boxport(store: Path, folder: Path, **settings: object) -> Iterator[Server]:
    """A running one with the models of ``store``; its home and its log lie in ``folder``."""
    environment = {
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BOXPORT_MODEL_STORE": str(store),
        **{f"BOXPORT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with running(NAME, COMMAND, ROOT, environment, "/readyz", folder / "boxport.log") as server:
        yield server


def shots_of(photos: Path, path: str) -> list[Shot]:
    """A request for each photo of a folder."""
    return [raw_body(photo.read_bytes(), path) for photo in sorted(photos.glob("*.jpg"))]


def stages(server: Server, photos: Path, path: str, number: int) -> list[Mapping[str, float]]:
    """What the service says that each of ``number`` requests, one after the other, took: decode,
    queue, inference and total, in milliseconds."""
    contents = [photo.read_bytes() for photo in sorted(photos.glob("*.jpg"))]
    found = []
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for i in range(number):
            body = contents[i % len(contents)]
            reply = client.post(path, content=body, headers={"Content-Type": "image/jpeg"})
            found.append(reply.raise_for_status().json()["timing_ms"])
    return found
