"""What several tests of the service share."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from service.imaging.resize import ModelInput, Placement
from service.manifest import ModelManifest, read_manifest
from service.repository.store import Candidate, Reference
from tests.packages import CLASSIFIER
from tests.service.inference.doubler import Doubler
from tests.service.models import Loader


class Health(BaseHTTPRequestHandler):
    """Ready at /readyz, and nowhere else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def ready_port() -> Iterator[int]:
    """Of a server that says it is ready."""
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def manifest(store: Path) -> ModelManifest:
    """Of a shipped classifier."""
    return read_manifest(store / CLASSIFIER / "1" / "manifest.json")


@pytest.fixture
def loader(manifest: ModelManifest) -> Loader:
    return Loader(manifest)


@pytest.fixture
def make_candidate() -> Callable[[Reference, int], Candidate]:
    def make(reference: Reference, change: int = 0) -> Candidate:
        return Candidate(Path("store", *reference), ((1, change, 0),) * 3)

    return make


@pytest.fixture
def image() -> ModelInput:
    pixels = np.zeros((224, 224, 3), np.uint8)
    return ModelInput(pixels, Placement(224, 224, 1.0, 1.0))


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()
