"""The service starts with all of a store that is sound or not at all, and stops when told."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest

from export.signing import make_keys, sign
from tests.e2e.server import (
    STOP_SECONDS,
    Server,
    eventually,
    free_port,
    launch,
    running_server,
)
from tests.export.small import small_package
from tests.packages import break_graph, copy_package

JPEG = {"content-type": "image/jpeg"}
VERSIONS = ["10", "9", "2"]  # that can be served


def ending(folder: Path, **settings: object) -> tuple[int, str]:
    """Exit status and last line of a server that should refuse to start; what it refuses is in
    tests/service/test_preflight.py."""
    process = launch(folder, free_port(), **settings)
    try:
        code = process.wait(STOP_SECONDS)
    finally:
        process.kill()
    return code, (folder / "server.log").read_text().strip().splitlines()[-1]


def test_missing_store_refuses_the_start_in_one_line(tmp_path: Path) -> None:
    code, line = ending(tmp_path, model_store=tmp_path / "nowhere")
    assert code != 0
    assert line.startswith("boxport: ")
    assert "there is no such folder" in line


def test_wrong_setting_refuses_the_start_in_one_line(tmp_path: Path) -> None:
    code, line = ending(tmp_path, max_batch_size="many")
    assert code != 0
    assert line.startswith("boxport: BOXPORT_MAX_BATCH_SIZE=many: ")


def test_package_that_cannot_be_loaded_ends_the_service_in_one_line(
    tmp_path: Path,
) -> None:
    """Its hash is right: only ONNX Runtime, in the worker, sees what is wrong."""
    package = small_package(tmp_path / "store", "pets")
    graph = onnx.load(package / "model.onnx")
    graph.graph.node[0].op_type = "Nonsense"
    onnx.save(graph, package / "model.onnx")
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256((package / "model.onnx").read_bytes()).hexdigest()
    (package / "manifest.json").write_text(json.dumps(manifest))
    ending(tmp_path, model_store=tmp_path / "store")
    log = (tmp_path / "server.log").read_text()
    assert "ONNX Runtime refuses it" in log
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server of its own, and what its log held when it became ready. Its packages are small and
    signed, versions of one model, and the highest was damaged since."""
    folder = tmp_path_factory.mktemp("started")
    private, public = folder / "private.pem", folder / "public.pem"
    make_keys(private, public)
    package = small_package(folder, "pets")
    for version in (2, 10, 9, 11):
        sign(copy_package(package, folder / "store", "pets", version), private)
    break_graph(folder / "store" / "pets" / "11")
    settings = {"model_store": folder / "store", "public_keys": public}
    with running_server(folder, **settings) as running:
        yield running, running.log.read_text()


def test_ready_means_that_every_model_has_run(started: tuple[Server, str]) -> None:
    for version in VERSIONS:
        assert f"pets/{version} is ready" in started[1]


def test_version_that_is_damaged_is_passed_over_if_there_is_another(
    started: tuple[Server, str],
) -> None:
    server, log = started
    damaged, *others = httpx.get(f"{server.url}/v1/models").json()["models"]
    assert [model["version"] for model in others] == VERSIONS
    assert {model["status"]["state"] for model in others} == {"ready"}
    assert (damaged["version"], damaged["status"]["state"]) == ("11", "failed")
    assert "model.onnx: was changed after it was signed" in damaged["status"]["reason"]
    assert "pets/11 is refused" in log


def test_a_name_means_its_highest_version(started: tuple[Server, str], cat: bytes) -> None:
    def version(**params: str) -> tuple[str, str]:
        url = f"{started[0].url}/v1/classify"
        answer = httpx.post(url, content=cat, headers=JPEG, params=params).json()
        return answer["model"]["name"], answer["model"]["version"]

    assert version() == ("pets", "10")
    assert version(model="pets") == ("pets", "10")
    assert version(model="pets/2") == ("pets", "2")


def test_a_task_that_no_model_is_for_is_not_found(started: tuple[Server, str], cat: bytes) -> None:
    refusal = httpx.post(f"{started[0].url}/v1/detect", content=cat, headers=JPEG)
    assert (refusal.status_code, refusal.json()["code"]) == (404, "model_not_found")


def test_both_of_its_processes_write_json(started: tuple[Server, str]) -> None:
    lines = [json.loads(line) for line in started[1].splitlines()]
    messages = "\n".join(line["message"] for line in lines)
    assert "Starting production HTTP BentoServer" in messages  # of the one that starts workers
    assert "bentoml.boxport" in {line["logger"] for line in lines}


def test_termination_ends_the_server_in_good_order(started: tuple[Server, str], cat: bytes) -> None:
    """Under load, too: it must not wait for a moment when nobody is inside."""
    server = started[0]
    answered: list[int] = []

    def keep_asking() -> None:
        files = [("images", ("photo.jpg", cat))] * 3
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while True:
                try:
                    answered.append(client.post("/v1/classify", files=files).status_code)
                except httpx.TransportError:
                    return

    threads = [threading.Thread(target=keep_asking) for _ in range(6)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answered) > 8, "they are answered")
    server.process.terminate()
    assert server.process.wait(STOP_SECONDS) == 0
    for thread in threads:
        thread.join()
    assert set(answered) <= {200, 503}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/livez", timeout=2)
