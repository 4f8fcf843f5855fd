"""Boxport as `make serve` starts it."""

import base64
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path

from benchmarks.load import Shot
from benchmarks.packages import ROOT
from benchmarks.peers.table import raw_body
from benchmarks.server import Server, ServerError, running

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


def stages(server: Server, shots: Sequence[Shot], number: int) -> list[Mapping[str, float]]:
    """Where the time of each of ``number`` requests went, one after the other, in milliseconds:
    decode, queue and inference, as the service says; service, the rest of what it says; and http,
    what the caller waited beyond that. Raises ServerError if one is not answered."""
    found = []
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        for shot in islice(cycle(shots), number):
            body = base64.b64decode(shot.body)
            began = time.perf_counter()
            connection.request(shot.method, shot.path, body, shot.headers)
            reply = connection.getresponse()
            content = reply.read()
            waited = (time.perf_counter() - began) * 1e3
            if reply.status != 200:
                raise ServerError(f"{server.name} answers {reply.status} to a lone request")
            timing = json.loads(content)["timing_ms"]
            total = timing.pop("total")
            known = sum(timing.values())
            found.append({**timing, "service": total - known, "http": waited - total})
    return found
