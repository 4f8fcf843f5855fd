"""Starts Boxport as `make serve` does, and reads its timing."""

import base64
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path

from benchmarks.load import Request
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
    """The running server with the models of ``store`` and BOXPORT_ settings; its files and its log
    lie in ``folder``."""
    environment = {
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BOXPORT_MODEL_STORE": str(store),
        **{f"BOXPORT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with running(NAME, COMMAND, ROOT, environment, "/readyz", folder / "boxport.log") as server:
        yield server


def requests_of(photos: Path, path: str) -> list[Request]:
    """A request for each photo of the folder ``photos``, in order of their names."""
    return [raw_body(photo.read_bytes(), path) for photo in sorted(photos.glob("*.jpg"))]


def stages(server: Server, requests: Sequence[Request], number: int) -> list[Mapping[str, float]]:
    """The stages of ``number`` requests, sent one after the other, in milliseconds.

    decode, queue, inference: as the service reports them. service: the rest of its total. http:
    what the caller waited beyond that. Raises ServerError for a reply other than 200.
    """
    found = []
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        for request in islice(cycle(requests), number):
            body = base64.b64decode(request.body)
            began = time.perf_counter()
            connection.request(request.method, request.path, body, request.headers)
            reply = connection.getresponse()
            content = reply.read()
            waited = (time.perf_counter() - began) * 1e3
            if reply.status != 200:
                raise ServerError(f"{server.name} answers {reply.status} to a single request")
            timing = json.loads(content)["timing_ms"]
            total = timing.pop("total")
            known = sum(timing.values())
            found.append({**timing, "service": total - known, "http": waited - total})
    return found
