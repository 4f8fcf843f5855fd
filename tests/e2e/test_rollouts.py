"""A version on trial behind a real server: by HTTP, the clients and the command, as docs/rollout.md
has them."""

import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from boxport_client import AsyncClient, Client, InvalidRequest, Unauthorized

from service.access.key_file import add_entry
from service.access.keys import new_key
from tests.e2e.conftest import Guarded
from tests.e2e.server import eventually, running_server
from tests.packages import CLASSIFIER, copy_package, edit_manifest, remove_package
from tests.paths import ROOT

JPEG = {"content-type": "image/jpeg"}
PETS = "/v1/models/pets/2"


@pytest.fixture(scope="module")
def coffee(photos: Path) -> bytes:
    return (photos / "coffee.jpg").read_bytes()


@pytest.fixture
def pets(guarded: Guarded) -> Iterator[Guarded]:
    """With pets/2, which is the same network; without it and its trials afterwards."""
    publish(guarded)
    yield guarded
    (guarded.store / "rollouts.json").unlink(missing_ok=True)
    remove_package(guarded.store / "pets" / "2")
    eventually(lambda: versions(guarded) == ["1"], "pets/2 is gone")
    guarded.ask("POST", "/v1/models/pets/1/unpin", guarded.operator)


def publish(guarded: Guarded, *, swapped: bool = False) -> None:
    """pets/2; ``swapped``: espresso and what follows it in the list of labels."""
    draft = guarded.publish("drafts", "2")
    edit_manifest(draft, lambda manifest: manifest.update(name="pets"))
    if swapped:
        edit_manifest(draft, swap)
    draft.rename(guarded.store / "pets" / "2")
    shutil.rmtree(guarded.store / "drafts")
    eventually(lambda: versions(guarded) == ["2", "1"], "pets/2 is there")


def swap(manifest: dict) -> None:
    labels = manifest["labels"]
    (place,) = [i for i, label in enumerate(labels) if label["name"] == "espresso"]
    labels[place], labels[place + 1] = labels[place + 1], labels[place]


def versions(guarded: Guarded) -> list[str]:
    models = guarded.ask("GET", "/v1/models", guarded.reader).json()["models"]
    return [model["version"] for model in models if model["name"] == "pets"]


def start(guarded: Guarded, mode: str, **order: object) -> dict:
    reply = guarded.ask("POST", f"{PETS}/{mode}", guarded.operator, json=order)
    assert reply.status_code == 200, reply.text
    return reply.json()


def report(guarded: Guarded) -> dict:
    return guarded.ask("GET", f"{PETS}/shadow", guarded.reader).json()


def answered_by(guarded: Guarded, photo: bytes, number: int, **headers: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(number):
        reply = guarded.ask(
            "POST",
            "/v1/classify?model=pets",
            guarded.reader,
            content=photo,
            headers={**JPEG, **headers},
        )
        assert reply.status_code == 200, reply.text
        found[reply.json()["model"]["version"]] += 1
    return found


@contextmanager
def load_on(guarded: Guarded, photo: bytes, per_second: float) -> Iterator[Counter]:
    """Requests at a steady rate; what was answered, by status and version."""
    answers: Counter = Counter()
    stop, numbers = threading.Event(), itertools.count()
    began = time.monotonic()

    def call() -> None:
        with httpx.Client(base_url=guarded.server.url, timeout=60) as client:
            while not stop.wait(max(0.0, began + next(numbers) / per_second - time.monotonic())):
                reply = client.post(
                    "/v1/classify?model=pets",
                    content=photo,
                    headers={**JPEG, "x-api-key": guarded.reader},
                )
                version = reply.json()["model"]["version"] if reply.is_success else reply.text
                answers[(reply.status_code, version)] += 1

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_shadow_is_compared_and_answers_nobody(pets: Guarded, coffee: bytes) -> None:
    begun = start(pets, "shadow", share=1.0)
    assert (begun["mode"], begun["phase"], begun["share"]) == ("shadow", "running", 1.0)
    assert answered_by(pets, coffee, 8) == {"1": 8}
    eventually(lambda: report(pets)["compared"] == 8, "all are compared")
    found = report(pets)
    assert found["agreement"] == {"value": 1.0, "low": pytest.approx(0.676, abs=1e-3), "high": 1.0}
    assert found["candidate"]["memory_bytes"] > 50_000_000
    status = pets.ask("GET", PETS, pets.reader).json()["status"]["rollout"]
    assert (status["compared"], status["phase"]) == (8, "running")
    metrics = pets.server.metrics(pets.reader)
    of = {"model": "pets", "version": "2"}
    assert metrics.get("boxport_shadow_photos_total", **of, outcome="compared") == 8
    assert metrics.get("boxport_images_total", model="pets", outcome="ok") >= 8
    assert metrics.get("boxport_rollout_share", **of, mode="shadow") == 1


def test_v2_takes_part(pets: Guarded, coffee: bytes) -> None:
    start(pets, "canary", share=1.0)
    body = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "BYTES",
                    "shape": [1],
                    "parameters": {"binary_data_size": len(coffee) + 4},
                }
            ]
        }
    ).encode()
    content = body + len(coffee).to_bytes(4, "little") + coffee
    length = {"inference-header-content-length": str(len(body))}
    for path, version in (("pets", "2"), ("pets/versions/1", "1")):
        reply = pets.ask(
            "POST", f"/v2/models/{path}/infer", pets.reader, content=content, headers=length
        )
        assert reply.status_code == 200, reply.text
        assert json.loads(reply.content)["model_version"] == version
    assert report(pets)["candidate"]["requests"] == 1


def test_swapped_labels_are_taken_back_under_load(guarded: Guarded, coffee: bytes) -> None:
    publish(guarded, swapped=True)
    try:
        with load_on(guarded, coffee, per_second=15) as answers:
            start(guarded, "canary", share=0.3, compare=1.0, guard={"min_samples": 10})
            eventually(lambda: report(guarded)["phase"] == "taken_back", "it is taken back", 30)
            seen = answers[(200, "1")]
            eventually(lambda: answers[(200, "1")] > seen + 5, "the other answers")
        assert {status for status, _ in answers} == {200}, answers
        found = report(guarded)
        assert found["cause"] == "disagreement"
        status = guarded.ask("GET", PETS, guarded.reader).json()["status"]
        assert status["rollout"]["reason"] == found["reason"]
        assert f"pets/2 is taken back: {found['reason']}" in guarded.server.log.read_text()
        taken_back = "boxport_rollouts_taken_back_total"
        metrics = guarded.server.metrics(guarded.reader)
        assert metrics.get(taken_back, model="pets", cause="disagreement") == 1
        assert answered_by(guarded, coffee, 5) == {"1": 5}
    finally:
        (guarded.store / "rollouts.json").unlink(missing_ok=True)
        remove_package(guarded.store / "pets" / "2")
        eventually(lambda: versions(guarded) == ["1"], "pets/2 is gone")


def test_the_client_drives_it(pets: Guarded, coffee: bytes) -> None:
    with Client(pets.server.url, api_key=pets.operator) as client:
        begun = client.models.canary("pets/2", 0.5, sticky="header X-User", guard={"errors": 0.5})
        assert (begun.mode, begun.phase, begun.share) == ("canary", "running", 0.5)
        users = [answered_by(pets, coffee, 2, **{"x-user": user}) for user in "abcdefgh"]
        assert all(len(found) == 1 for found in users)
        assert {version for found in users for version in found} == {"1", "2"}
        assert client.models.promote("pets/2").phase == "promoted"
        assert answered_by(pets, coffee, 3) == {"2": 3}
        assert client.model("pets").manifest["status"]["pinned"] is True
        with pytest.raises(InvalidRequest, match="no rollout"):
            client.models.abort("pets/2")
        with pytest.raises(ValueError, match="names no version"):
            client.models.rollout("pets")
    with Client(pets.server.url, api_key=pets.reader) as client:
        assert client.models.rollout("pets/2").phase == "promoted"
        with pytest.raises(Unauthorized):
            client.models.shadow("pets/2", 0.1)
    pets.ask("POST", f"{PETS}/unpin", pets.operator)


def test_the_async_client_drives_it(pets: Guarded) -> None:
    async def scenario() -> list[str]:
        async with AsyncClient(pets.server.url, api_key=pets.operator) as client:
            begun = await client.models.shadow("pets/2", 0.1)
            ended = await client.models.abort("pets/2")
            return [begun.phase, ended.phase, *[one.name for one in await client.models()]]

    assert asyncio.run(scenario()) == ["running", "aborted", "pets", "pets", "plants"]


def test_the_command_drives_it(pets: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXPORT_API_KEY", pets.operator)

    def rollout(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service", "rollout", *arguments, "--url", pets.server.url]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    begun = rollout("start", "pets/2", "--canary", "0.05", "0.25", "1", "--step-seconds", "600")
    assert begun.stdout.splitlines()[0] == "pets/2: canary, running at 5.0%", begun.stderr
    assert "canary  running" in rollout("status").stdout
    assert rollout("abort", "pets/2").stdout.startswith("pets/2: canary, aborted")
    refused = rollout("promote", "pets/2")
    assert (refused.returncode, refused.stderr) == (1, "boxport: There is no rollout of pets/2.\n")


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ("{", 400, "malformed_body"),
        ("{}", 422, "invalid_parameter"),
        ('{"share": 2}', 422, "invalid_parameter"),
        ('{"share": 0.1, "schedule": [1]}', 422, "invalid_parameter"),
        ('{"share": 0.1, "sticky": "cookie a"}', 422, "invalid_parameter"),
        ('{"shares": 0.1}', 422, "unknown_parameter"),
        ('{"share": 0.1}', 404, "model_not_found"),
    ],
)
def test_an_order_that_makes_no_sense(guarded: Guarded, order: str, status: int, code: str) -> None:
    reply = guarded.ask("POST", "/v1/models/pets/9/canary", guarded.operator, content=order)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert guarded.ask("GET", "/v1/models/pets/9/canary", guarded.reader).status_code == 404


@pytest.mark.soak
def test_twenty_trials_lose_no_request(pets: Guarded, coffee: bytes) -> None:
    (worker,) = pets.server.workers
    with load_on(pets, coffee, per_second=20) as answers:
        for i in range(20):
            start(pets, "canary", share=0.5)
            seen = answers[(200, "2")]
            eventually(lambda seen=seen: answers[(200, "2")] > seen + 3, "pets/2 answers")
            ending = "promote" if i % 2 else "abort"
            reply = pets.ask("POST", f"{PETS}/{ending}", pets.operator)
            assert reply.status_code == 200, reply.text
            pets.ask("POST", f"{PETS}/unpin", pets.operator)
    assert {status for status, _ in answers} == {200}, answers
    eventually(lambda: len(worker.children()) <= 1, "the processes of trials end")


@pytest.mark.soak
def test_swapped_labels_go_back_within_30_seconds(guarded: Guarded, coffee: bytes) -> None:
    """At 20 requests a second and a share of 5 %, with the guard's defaults."""
    publish(guarded, swapped=True)
    try:
        with load_on(guarded, coffee, per_second=20) as answers:
            start(guarded, "canary", share=0.05)
            began = time.monotonic()
            eventually(lambda: report(guarded)["phase"] == "taken_back", "it is taken back")
            assert time.monotonic() - began < 30
        assert {status for status, _ in answers} == {200}, answers
    finally:
        (guarded.store / "rollouts.json").unlink(missing_ok=True)
        remove_package(guarded.store / "pets" / "2")
        eventually(lambda: versions(guarded) == ["1"], "pets/2 is gone")


@pytest.mark.soak
def test_two_workers_are_one_service(tmp_path: Path, store: Path, coffee: bytes) -> None:
    keys = tmp_path / "keys.json"
    key, entry = new_key("operator", ["infer", "admin"], None, None)
    add_entry(keys, entry)
    for version in (1, 2):
        copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", version)
    settings = {"model_store": tmp_path / "store", "keys_file": keys, "workers": 2}
    with running_server(tmp_path, **settings, concurrent_runs=1) as server:
        headers = {"x-api-key": key}

        def call(method: str, path: str, **given: object) -> dict:
            """On a connection of its own, which either worker may take."""
            reply = httpx.request(
                method, server.url + path, headers={**headers, **JPEG}, timeout=120, **given
            )
            assert reply.status_code == 200, reply.text
            return reply.json()

        call("POST", f"{PETS}/canary", content=b'{"share": 0.5}')
        time.sleep(2)  # the other worker looks, and loads it
        eventually(
            lambda: {call("GET", f"{PETS}/canary")["phase"] for _ in range(8)} == {"running"},
            "both run it",
        )
        found = Counter(
            call("POST", "/v1/classify?model=pets", content=coffee)["model"]["version"]
            for _ in range(60)
        )
        assert found["2"] > 15
        time.sleep(1.5)
        counted = {call("GET", f"{PETS}/canary")["candidate"]["requests"] for _ in range(8)}
        assert counted == {found["2"]}
        call("POST", f"{PETS}/promote")
        eventually(
            lambda: (
                {
                    call("POST", "/v1/classify?model=pets", content=coffee)["model"]["version"]
                    for _ in range(8)
                }
                == {"2"}
            ),
            "both workers serve it",
        )
