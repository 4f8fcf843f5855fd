"""What the SDK's tests share. They run where nothing but the SDK, numpy and pytest is installed, if
the variable BOXPORT_TEST_URL names a service; else they use the tests' own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from boxport_client import AsyncClient, Client, _retries

from tests.clients.python.both import Blocking
from tests.clients.python.scripted import ScriptedServer
from tests.paths import ROOT


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of sample photos."""
    return ROOT / "docs" / "photos"


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """Where a real service is, with the models that come with it."""
    given = os.environ.get("BOXPORT_TEST_URL")
    return given or request.getfixturevalue("server").url


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[object]:
    """A function that makes a client, of either kind, to be used as the one that waits."""
    made: list = []

    def make(url: str, **options: object) -> object:
        client = (
            Client(url, **options)
            if request.param == "sync"
            else Blocking(AsyncClient, url, options)
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client, url: str):
    """A client of the real service, of either kind."""
    return make_client(url)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """A server that does what it is told, good or bad."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries that tests can wait for."""
    monkeypatch.setattr(_retries, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(_retries, "MAX_BACKOFF_SECONDS", 0.01)
