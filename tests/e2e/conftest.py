"""A server with keys and a store of its own, which the end-to-end tests share."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access.key_file import add_entry
from service.access.keys import new_key
from tests.e2e.server import Server, running_server
from tests.packages import CLASSIFIER, copy_package


@dataclass(frozen=True)
class Guarded:
    """A server with keys and a store of its own, whose models are pets and plants.

    reader may ask, operator may change models as well, rare may ask twice at once and then once
    in 50 seconds.
    """

    server: Server
    client: httpx.Client
    keys_file: Path
    store: Path
    original: Path
    reader: str
    operator: str
    rare: str

    def ask(self, method: str, path: str, key: str | None = None, **given: Any) -> httpx.Response:
        headers = {} if key is None else {"x-api-key": key}
        headers.update(given.pop("headers", {}))
        return self.client.request(method, path, headers=headers, **given)

    def publish(self, name: str, version: int, **changes: object) -> Path:
        return copy_package(self.original, self.store, name, version, **changes)


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Guarded]:
    """Whoever changes the store or a model puts it back as it was: pets/1 and plants/1."""
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys.json"
    texts = []
    for name, scopes, rate, burst in (
        ("reader", ["infer"], None, None),
        ("operator", ["infer", "admin"], None, None),
        ("rare", ["infer"], 0.02, 2),
    ):
        text, entry = new_key(name, scopes, rate, burst)
        add_entry(keys, entry)
        texts.append(text)
    original, own = store / CLASSIFIER / "1", folder / "store"
    for name in ("pets", "plants"):
        copy_package(original, own, name, 1)
    settings = {
        "model_store": own,
        "keys_file": keys,
        "watch_seconds": 0.2,
        "cors_origins": "https://shop.example",
        "concurrent_runs": 1,
        "access_log_sample": 1,
    }
    with (
        running_server(folder, **settings) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        yield Guarded(running, client, keys, own, original, *texts)


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
