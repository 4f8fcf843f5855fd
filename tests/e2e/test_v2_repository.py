"""The repository of models behind /v2, who may change it, and the service's last seconds."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service.access.key_file import add_entry
from service.access.keys import new_key
from tests.e2e.server import STOP_SECONDS, Server, running_server
from tests.e2e.v2_tensors import CLASSIFIER, encoded


@pytest.fixture
def guarded(tmp_path: Path, store: Path) -> Iterator[tuple[Server, dict, dict]]:
    """A server that asks for keys, holds two versions of a classifier, and stops slowly; the
    headers of who may infer, and of who may administer."""
    for version in ("1", "2"):
        package = tmp_path / "store" / CLASSIFIER / version
        shutil.copytree(store / CLASSIFIER / "1", package)
        manifest = json.loads((package / "manifest.json").read_text())
        (package / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
    headers = []
    for name, scopes in (("app", ("infer",)), ("ops", ("infer", "admin"))):
        text, entry = new_key(name, scopes)
        add_entry(tmp_path / "keys.json", entry)
        headers.append({"X-API-Key": text})
    settings = {"model_store": tmp_path / "store", "keys_file": tmp_path / "keys.json"}
    with running_server(tmp_path, drain_seconds=600, **settings) as running:
        yield running, *headers


def test_the_repository_and_the_end(guarded: tuple[Server, dict, dict], photos: Path) -> None:
    """On one server, since to start it takes longer than all of this."""
    server, app, ops = guarded
    photo = (photos / "cat.jpg").read_bytes()
    assert_only_for_who_may(server, app, ops)
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        assert_unloads_and_loads(client, server.url, photo, app, ops)
        assert_says_that_it_stops(server, client, photo, app)


def assert_only_for_who_may(server: Server, app: dict, ops: dict) -> None:
    url = f"{server.url}/v2/repository/models"

    def post(path: str, headers: dict, content: bytes = b"") -> tuple[int, str]:
        response = httpx.post(f"{url}/{path}", headers=headers, content=content)
        return response.status_code, response.text

    for action in ("load", "unload"):
        assert post(f"{CLASSIFIER}/{action}", {})[0] == 401
        assert post(f"{CLASSIFIER}/{action}", app)[0] == 403
        status, text = post(f"nothing/{action}", ops)
        assert (status, "model_not_found: " in text) == (404, True)
    for content, status in (
        (b'{"parameters": {"config": "{}"}}', 422),
        (b'{"parameters": {"file:1/model.onnx": "AAAA"}}', 422),
        (b'{"parameters": 7}', 400),
        (b"[]", 400),
        (b"{", 400),
        (b" " * 100_000, 413),
    ):
        assert post(f"{CLASSIFIER}/load", ops, content)[0] == status, content[:50]
    assert httpx.get(f"{server.url}/v2").status_code == 401


def assert_unloads_and_loads(
    client: triton.InferenceServerClient, url: str, photo: bytes, app: dict, ops: dict
) -> None:
    def states() -> list[tuple[str, str, str]]:
        rows = client.get_model_repository_index(headers=dict(app))
        assert {row["name"] for row in rows} == {CLASSIFIER}
        return [(row["version"], row["state"], row["reason"]) for row in rows]

    def answered_by(version: str = "") -> str:
        image = encoded([photo])
        result = client.infer(CLASSIFIER, [image], model_version=version, headers=dict(app))
        return result.get_response()["model_version"]

    both = [("2", "READY", ""), ("1", "READY", "")]
    assert states() == both
    assert client.get_model_metadata(CLASSIFIER, headers=dict(app))["versions"] == ["2", "1"]
    assert client.get_model_metadata(CLASSIFIER, "1", headers=dict(app))["versions"] == ["1"]
    assert (answered_by(), answered_by("1")) == ("2", "1")

    client.unload_model(CLASSIFIER, headers=dict(ops))
    assert states() == [("2", "UNAVAILABLE", "unloaded"), ("1", "UNAVAILABLE", "unloaded")]
    for version in ("", "1"):
        assert not client.is_model_ready(CLASSIFIER, version, headers=dict(app))
        with pytest.raises(InferenceServerException, match="model_unloaded") as caught:
            answered_by(version)
        assert caught.value.status() == "409"
    index = f"{url}/v2/repository/index"
    assert httpx.post(index, json={"ready": True}, headers=app).json() == []

    client.load_model(CLASSIFIER, headers=dict(ops))
    assert states() == both
    assert (answered_by(), answered_by("1")) == ("2", "1")


def assert_says_that_it_stops(
    server: Server, client: triton.InferenceServerClient, photo: bytes, app: dict
) -> None:
    assert client.is_server_ready()
    (worker,) = server.workers
    server.process.terminate()
    ends = time.monotonic() + 60
    while (ready := httpx.get(f"{server.url}/v2/health/ready")).status_code == 200:
        assert time.monotonic() < ends
    assert (ready.status_code, ready.json()["error"][:11]) == (503, "not_ready: ")
    assert ready.headers["retry-after"] == "1"
    assert client.is_server_live()
    assert httpx.get(f"{server.url}/livez").status_code == 200
    assert client.infer(CLASSIFIER, [encoded([photo])], headers=dict(app)).get_response()
    time.sleep(0.5)
    assert server.process.poll() is None, "load balancers need not know yet"
    worker.terminate()  # told twice, it stops at once; BentoML passes on the first signal only
    assert server.process.wait(STOP_SECONDS) == 0
