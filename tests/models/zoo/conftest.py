"""Servers on this machine: one that answers, one that does not."""

import socket
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from models.zoo.table import ZooEntry

from .remote import Handler, Remote


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.remote = Remote(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.remote
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> ZooEntry:
    """A row whose server refuses connections."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return Remote(f"http://127.0.0.1:{port}").entry()
