"""The real services that the golden replies are recorded from, and held against."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.access.key_file import KeyEntry, add_entry
from tests.e2e.server import LAYOUT, running_server
from tests.packages import copy_package
from tests.paths import ROOT

MODEL = "efficientdet_lite0_voc"
ROOM_BYTES = 50_000  # less than two photos
KEY = "bxp_contract_an-example-that-opens-nothing"
RARE = "bxp_rare_an-example-that-opens-nothing"
KEYS = {
    KEY: {"scopes": ("infer",)},
    "bxp_admin_an-example-that-opens-nothing": {"scopes": ("admin",)},
    RARE: {"scopes": ("infer",), "rate": 0.02, "burst": 1},
}


@contextmanager
def default_service(folder: Path) -> Iterator[str]:
    """The URL of a service without keys."""
    with running_server(folder, **LAYOUT) as server:
        yield server.url


@contextmanager
def guarded_service(folder: Path) -> Iterator[str]:
    """The URL of one with keys, a model whose next version is damaged, and room for one photo."""
    store, keys = folder / "store", folder / "keys.json"
    copy_package(ROOT / "model_store" / MODEL / "1", store, MODEL, 1)
    damaged = copy_package(ROOT / "model_store" / MODEL / "1", store, MODEL, 2)
    (damaged / "manifest.json").write_text("{")
    for text, allowed in KEYS.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        add_entry(keys, KeyEntry(name=text.split("_")[1], sha256=digest, **allowed))
    settings = {"model_store": store, "keys_file": keys, "max_bytes_in_service": ROOM_BYTES}
    with running_server(folder, **settings, **LAYOUT) as server:
        yield server.url


SERVICES = {"default service": default_service, "guarded service": guarded_service}
