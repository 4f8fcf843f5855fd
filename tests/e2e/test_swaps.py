"""The store is watched: versions come, change and go while requests run, and none is lost."""

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Guarded
from tests.e2e.server import eventually, running_server
from tests.packages import CLASSIFIER, break_graph, copy_package, remove_package

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def coffee(photos: Path) -> bytes:
    return (photos / "coffee.jpg").read_bytes()


def answer_of(guarded: Guarded, photo: bytes, model: str) -> dict:
    reply = guarded.ask(
        "POST", "/v1/classify", guarded.reader, content=photo, headers=JPEG, params={"model": model}
    )
    return {"status": reply.status_code, **reply.json()}


def version_of(guarded: Guarded, photo: bytes, model: str = "pets") -> str:
    answer = answer_of(guarded, photo, model)
    return answer["model"]["version"] if answer["status"] == 200 else answer["code"]


def status_of(guarded: Guarded, model: str) -> dict:
    return guarded.ask("GET", f"/v1/models/{model}", guarded.reader).json()["status"]


def statuses(guarded: Guarded) -> dict[str, dict]:
    models = guarded.ask("GET", "/v1/models", guarded.reader).json()["models"]
    return {f"{model['name']}/{model['version']}": model["status"] for model in models}


def order(guarded: Guarded, model: str, action: str) -> httpx.Response:
    return guarded.ask("POST", f"/v1/models/{model}/{action}", guarded.operator)


def until_listed(guarded: Guarded, *models: str) -> None:
    eventually(lambda: statuses(guarded).keys() == set(models), f"the models are {models}")


@contextmanager
def load_on(guarded: Guarded, photo: bytes, callers: int = 3) -> Iterator[Counter]:
    """Callers that ask for pets without a pause; what they were answered."""
    answers: Counter = Counter()
    stop = threading.Event()

    def call() -> None:
        url, headers = "/v1/classify", {**JPEG, "x-api-key": guarded.reader}
        with httpx.Client(base_url=guarded.server.url, timeout=60) as client:
            while not stop.is_set():
                try:
                    reply = client.post(f"{url}?model=pets", content=photo, headers=headers)
                    answers[(reply.status_code, reply.json()["model"]["version"])] += 1
                except (httpx.HTTPError, KeyError) as error:
                    answers[repr(error)] += 1

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def roll(guarded: Guarded, photo: bytes, versions: range) -> None:
    """Publish each version in turn and take the one before it away, under load."""
    with load_on(guarded, photo) as answers:
        for version in versions:
            guarded.publish("pets", version)
            eventually(lambda v=version: answers[(200, str(v))] > 2, f"pets/{version} answers")
            remove_package(guarded.store / "pets" / str(version - 1))
    assert {answer[0] for answer in answers} == {200}, answers
    assert {answer[1] for answer in answers} == {str(v) for v in (versions[0] - 1, *versions)}


def put_back(guarded: Guarded, last: int) -> None:
    guarded.publish("pets", 1)
    remove_package(guarded.store / "pets" / str(last))
    until_listed(guarded, "pets/1", "plants/1")


def test_rolling_swaps_lose_no_request(guarded: Guarded, coffee: bytes) -> None:
    roll(guarded, coffee, range(2, 5))
    put_back(guarded, 4)


@pytest.mark.soak
def test_twenty_rolling_swaps_lose_no_request(guarded: Guarded, coffee: bytes) -> None:
    (worker,) = guarded.server.workers
    roll(guarded, coffee, range(2, 5))
    threads, memory = worker.num_threads(), worker.memory_info().rss
    roll(guarded, coffee, range(5, 22))
    put_back(guarded, 21)
    eventually(lambda: worker.num_threads() <= threads + 2, "the old models' threads end")
    assert worker.memory_info().rss < memory + 60_000_000, "less than two models' worth"


def test_a_broken_version_is_shown_and_harms_nobody(guarded: Guarded, coffee: bytes) -> None:
    failures = "boxport_model_load_failures_total"
    before = guarded.server.metrics(guarded.reader).get(failures, model="pets")
    draft = guarded.publish("drafts", 2)
    break_graph(draft)
    broken = guarded.store / "pets" / "2"
    manifest = json.loads((draft / "manifest.json").read_text())
    (draft / "manifest.json").write_text(json.dumps({**manifest, "name": "pets"}))
    draft.rename(broken)
    eventually(lambda: "pets/2" in statuses(guarded), "it is seen")
    status = statuses(guarded)["pets/2"]
    assert status["state"] == status_of(guarded, "pets/2")["state"] == "failed"
    assert "its sha256 is not the manifest's" in status["reason"]
    assert version_of(guarded, coffee) == "1"
    assert version_of(guarded, coffee, "pets/2") == "model_not_found"
    after = guarded.server.metrics(guarded.reader).get(failures, model="pets")
    assert after - before in (1, 2), "it is tried, and at once once more"
    assert "pets/2 is refused" in guarded.server.log.read_text()
    remove_package(broken)
    until_listed(guarded, "pets/1", "plants/1")


def test_what_is_no_version_harms_nobody(guarded: Guarded, coffee: bytes) -> None:
    """Such as somebody's copy beside the real one."""
    shutil.copytree(guarded.store / "pets" / "1", guarded.store / "pets" / "1.bak")
    eventually(lambda: len(statuses(guarded)) == 3, "it is seen")
    failed = [s for s in statuses(guarded).values() if s["state"] == "failed"]
    assert "name the folder after it" in failed[0]["reason"]
    assert version_of(guarded, coffee) == "1"
    assert guarded.ask("GET", "/metrics", guarded.reader).status_code == 200
    shutil.rmtree(guarded.store / "pets" / "1.bak")
    until_listed(guarded, "pets/1", "plants/1")


def test_a_package_that_changes_in_place_is_taken(guarded: Guarded, coffee: bytes) -> None:
    path = guarded.store / "plants" / "1" / "manifest.json"
    original = path.read_text()
    renamed = original.replace('"espresso"', '"short coffee"')
    draft = path.with_name("draft.json")

    def first_label() -> str:
        answer = answer_of(guarded, coffee, "plants")
        return answer["results"][0]["classifications"][0]["label"]

    assert first_label() == "espresso"
    for content, label in ((renamed, "short coffee"), (original, "espresso")):
        draft.write_text(content)
        draft.replace(path)
        eventually(lambda label=label: first_label() == label, f"the label is {label}")
    path.write_text("{")
    eventually(lambda: "reason" in status_of(guarded, "plants"), "the fault is shown")
    assert status_of(guarded, "plants")["state"] == "ready"
    assert first_label() == "espresso", "what was served before goes on"
    path.write_text(original)
    eventually(lambda: "reason" not in status_of(guarded, "plants"), "it is whole again")


def test_an_operator_unloads_and_loads(guarded: Guarded, coffee: bytes) -> None:
    sessions = "boxport_sessions"
    reply = order(guarded, "plants/1", "unload")
    assert reply.status_code == 200
    assert reply.json()["status"] == {"state": "unloaded", "pinned": False, "is_default": False}
    assert version_of(guarded, coffee, "plants") == "model_unloaded"
    assert answer_of(guarded, coffee, "plants")["status"] == 409
    assert version_of(guarded, coffee, "pets") == "1"
    metrics = guarded.server.metrics(guarded.reader)
    assert metrics.get(sessions, model="plants") == 0
    assert metrics.get(sessions, model="pets") == 1
    time.sleep(0.6)  # the watcher looks, and must not load it
    assert status_of(guarded, "plants")["state"] == "unloaded"
    reply = order(guarded, "plants/1", "load")
    assert reply.json()["status"]["state"] == "ready"
    assert reply.json()["status"]["provider"] == "cpu"
    assert version_of(guarded, coffee, "plants") == "1"


def test_an_operator_pins_a_version(guarded: Guarded, coffee: bytes) -> None:
    assert order(guarded, "pets/1", "pin").json()["status"]["pinned"] is True
    guarded.publish("pets", 2)
    until_listed(guarded, "pets/2", "pets/1", "plants/1")
    assert version_of(guarded, coffee) == "1"
    assert version_of(guarded, coffee, "pets/2") == "2"
    assert order(guarded, "pets/1", "unpin").json()["status"]["pinned"] is False
    assert version_of(guarded, coffee) == "2"
    remove_package(guarded.store / "pets" / "2")
    until_listed(guarded, "pets/1", "plants/1")
    assert version_of(guarded, coffee) == "1"


@pytest.mark.parametrize(
    ("model", "action", "status", "code"),
    [
        ("pets/9", "unload", 404, "model_not_found"),
        ("nothing/1", "load", 404, "model_not_found"),
        ("pets/1", "explode", 404, "not_found"),
    ],
)
def test_an_order_that_makes_no_sense(
    guarded: Guarded, model: str, action: str, status: int, code: str
) -> None:
    reply = order(guarded, model, action)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_memory_is_kept_within_its_budget(tmp_path: Path, store: Path, coffee: bytes) -> None:
    """Three models, room for about one: what was used longest ago is evicted for the next."""
    own, size = tmp_path / "store", (store / CLASSIFIER / "1" / "model.onnx").stat().st_size
    for name in ("a", "b", "c"):
        copy_package(store / CLASSIFIER / "1", own, name, 1)
    settings = {"model_store": own, "max_session_bytes": 3 * size, "concurrent_runs": 1}
    with running_server(tmp_path, **settings) as server:
        started = server.metrics()
        loaded = {name: started.get("boxport_sessions", model=name) for name in "abc"}
        assert loaded["a"] == 1
        assert sum(loaded.values()) < 3
        for name in ("a", "b", "c", "a", "c", "b"):
            reply = httpx.post(
                f"{server.url}/v1/classify",
                params={"model": name},
                content=coffee,
                headers=JPEG,
                timeout=60,
            )
            assert reply.json()["model"]["name"] == name
            assert reply.json()["results"][0]["classifications"][0]["label"] == "espresso"
        metrics = server.metrics()
        assert metrics.get("boxport_sessions", model="b") == 1
        assert metrics.get("boxport_sessions", model="a") == 0
        assert metrics.get("boxport_sessions") < 3
        models = httpx.get(f"{server.url}/v1/models").json()["models"]
        assert models[0]["status"]["state"] == "evicted"
