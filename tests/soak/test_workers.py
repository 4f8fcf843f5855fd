"""Several workers are one service: bounds, orders and what is told of models hold for all."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.load import Plan, Request
from benchmarks.load_process import LoadProcess
from service.access.key_file import add_entry
from service.access.keys import new_key
from tests.e2e.server import Server, eventually, running_server
from tests.packages import CLASSIFIER, copy_package, remove_package
from tests.soak.loads import port_of
from tests.soak.processes import workers
from tests.soak.results import length, record

SECONDS = length("WORKERS_SECONDS", 20)
NUMBER, RATE = 4, 50

pytestmark = pytest.mark.soak


def test_a_rate_is_the_service_s_own(tmp_path: Path) -> None:
    asked = Request("models", "GET", "/v1/models/efficientnet_lite0_imagenet", {})
    closing = Request(asked.kind, asked.method, asked.path, {"Connection": "close"})
    with running_server(tmp_path, workers=NUMBER, rate_limit=RATE) as server:
        plan = Plan(port_of(server), [asked, closing], SECONDS, rate=4 * RATE, connections=32)
        outcomes = LoadProcess(plan, tmp_path).outcomes()
    statuses = Counter(outcome.status for outcome in outcomes)
    passed = sorted(outcome.ended for outcome in outcomes if outcome.status == 200)
    steady = [at for at in passed if at > passed[0] + 2]  # the burst is over
    rate = (len(steady) - 1) / (steady[-1] - steady[0])
    record("a rate over four workers", seconds=SECONDS, rate=round(rate, 2), statuses=statuses)
    assert statuses.keys() == {200, 429}
    assert rate == pytest.approx(RATE, rel=0.02)


class Operator:
    """Each call is on a connection of its own, which any worker may take."""

    def __init__(self, server: Server, key: str) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(
            base_url=server.url, headers={"x-api-key": key}, timeout=120, limits=limits
        )

    def call(self, method: str, path: str) -> dict:
        reply = self._client.request(method, path)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def seen_by_all(self, path: str) -> list[dict]:
        """Different replies to the same request, of many at once: of all workers."""
        with ThreadPoolExecutor(16) as pool:
            replies = pool.map(lambda _: self.call("GET", path), range(64))
        found: list[dict] = []
        for reply in replies:
            if reply not in found:
                found.append(reply)
        return found

    def status(self, version: str) -> dict:
        """That all agree on."""
        (seen,) = self.seen_by_all(f"/v1/models/pets/{version}")
        return seen["status"]


def test_orders_and_packages_reach_all_workers(tmp_path: Path, store: Path) -> None:
    own = tmp_path / "store"
    for version in (1, 2):
        copy_package(store / CLASSIFIER / "1", own, "pets", version)
    keys = tmp_path / "keys.json"
    key, entry = new_key("operator", ["infer", "admin"], None, None)
    add_entry(keys, entry)
    settings = {"model_store": own, "keys_file": keys, "workers": NUMBER, "watch_seconds": 0.5}
    with running_server(tmp_path, **settings) as server:
        operator = Operator(server, key)
        affinities = [set(worker.cpu_affinity()) for worker in workers(server)]
        processors = psutil.Process(server.process.pid).cpu_affinity()
        assert set.union(*affinities) == set(processors)
        if len(processors) >= NUMBER:
            assert sum(map(len, affinities)) == len(processors), "no two have the same"
        assert len(operator.seen_by_all("/v1/models")) == 1
        operator.call("POST", "/v1/models/pets/1/pin")
        assert operator.status("1")["pinned"]
        operator.call("POST", "/v1/models/pets/2/unload")
        assert operator.status("2")["state"] == "unloaded"
        victim = workers(server)[0]
        victim.kill()
        victim.wait(20)
        eventually(
            lambda: server.metrics(key).get("boxport_workers") == NUMBER, "it is replaced", 180
        )
        assert operator.status("1")["pinned"], "the new one begins with it"
        assert operator.status("2")["state"] == "unloaded"
        operator.call("POST", "/v1/models/pets/2/load")
        assert operator.status("2")["state"] == "ready"
        operator.call("POST", "/v2/repository/models/pets/unload")
        assert {operator.status(version)["state"] for version in "12"} == {"unloaded"}
        operator.call("POST", "/v2/repository/models/pets/load")
        assert {operator.status(version)["state"] for version in "12"} == {"ready"}
        copy_package(store / CLASSIFIER / "1", own, "pets", 3)
        eventually(lambda: server.metrics(key).get("boxport_sessions") == 3 * NUMBER, "all load it")
        assert operator.status("3")["state"] == "ready"
        remove_package(own / "pets" / "3")
        eventually(lambda: server.metrics(key).get("boxport_sessions") == 2 * NUMBER, "it is gone")
        assert len(operator.seen_by_all("/v1/models")) == 1
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(60) == 0
        record("a stop of four workers", seconds=round(time.monotonic() - began, 1))
