"""Versions are replaced under load, while requests name only the model: none is lost."""

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

import httpx
import pytest

from benchmarks.load import Plan
from benchmarks.load_process import LoadProcess
from tests.e2e.server import Server, running_server
from tests.packages import CLASSIFIER, copy_package, remove_package
from tests.soak.loads import photo_requests, port_of
from tests.soak.processes import resident_bytes
from tests.soak.results import length, record

SWAPS = int(length("SWAPS", 20))
SWAP_SECONDS = 60
PARTS = 5  # of a slow copy
PART_SECONDS = 0.15


def copy_slowly(source: Path, store: Path, version: int) -> None:
    """Copy the package part by part, as over a slow network: incomplete files can be seen."""
    whole = copy_package(source, store.parent / "drafts", "pets", version)
    folder = store / "pets" / str(version)
    folder.mkdir()
    shutil.copy(whole / "manifest.json", folder)
    graph = (whole / "model.onnx").read_bytes()
    part = len(graph) // PARTS + 1
    with (folder / "model.onnx").open("wb") as file:
        for start in range(0, len(graph), part):
            file.write(graph[start : start + part])
            file.flush()
            time.sleep(PART_SECONDS)


def wait_until_served(server: Server, version: int) -> None:
    ends = time.monotonic() + SWAP_SECONDS
    while True:
        reply = httpx.get(f"{server.url}/v1/models/pets", timeout=30).json()
        if reply["version"] == str(version) and reply["status"]["state"] == "ready":
            return
        assert time.monotonic() < ends, server.log.read_text()[-2000:]
        time.sleep(0.1)


def swap(server: Server, source: Path, store: Path, number: int) -> Iterator[int]:
    """Put ``number`` newer versions there, at once or slowly in turn, each in place of the one
    before; yields each once it is served and the old one is gone."""
    for version in range(2, number + 2):
        if version % 2:
            copy_slowly(source, store, version)
        else:
            copy_package(source, store, "pets", version)
        wait_until_served(server, version)
        remove_package(store / "pets" / str(version - 1))
        yield version


@pytest.mark.soak
def test_swaps_lose_nothing(tmp_path: Path, store: Path, photos: Path) -> None:
    own_store = tmp_path / "store"
    source = store / CLASSIFIER / "1"
    copy_package(source, own_store, "pets", 1)
    requests = photo_requests(photos, "/v1/classify?model=pets")
    memory = []
    with running_server(tmp_path, model_store=own_store, watch_seconds=0.2) as server:
        plan = Plan(port_of(server), requests, SWAP_SECONDS * SWAPS, connections=4)
        load = LoadProcess(plan, tmp_path)
        for _ in swap(server, source, own_store, SWAPS):
            time.sleep(0.5)  # for the old one's threads to end
            memory.append(resident_bytes(server))
        load.stop()
        outcomes = load.outcomes()
        log = server.log.read_text()
    quarter = len(memory) // 4
    growth = median(memory[-quarter:]) / median(memory[quarter : 2 * quarter]) - 1
    record(
        f"{SWAPS} swaps",
        requests=len(outcomes),
        not_answered=sum(outcome.status != 200 for outcome in outcomes),
        longest_answer_ms=round(max(outcome.latency for outcome in outcomes) * 1000),
        memory_growth=round(growth, 4),
        memory_mb=[round(one / 1e6) for one in memory],
    )
    assert {outcome.status for outcome in outcomes} == {200}
    versions = [int(outcome.version) for outcome in outcomes]
    assert set(versions) == set(range(1, SWAPS + 2))
    assert all(later >= earlier - 1 for earlier, later in pairwise(versions))
    assert log.count("is gone") == SWAPS
    assert growth < 0.02
