"""The service starts whole or not at all, and stops when told."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest

from export.signing import make_keys, sign
from tests.e2e.server import STOP_SECONDS, Server, free_port, launch, running_server
from tests.packages import CLASSIFIER, break_graph


def ending(folder: Path, **settings: object) -> tuple[int, str]:
    """Exit status and last line of a server that should refuse to start."""
    process = launch(folder, free_port(), **settings)
    try:
        code = process.wait(STOP_SECONDS)
    finally:
        process.kill()
    return code, (folder / "server.log").read_text().strip().splitlines()[-1]


def test_both_of_its_processes_write_json(server: Server) -> None:
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    messages = "\n".join(line["message"] for line in lines)
    assert "Starting production HTTP BentoServer" in messages  # of the one that starts workers
    assert {"bentoml.boxport", "bentoml.boxport.access"} & {line["logger"] for line in lines}


def test_missing_store_refuses_the_start_in_one_line(tmp_path: Path) -> None:
    code, line = ending(tmp_path, model_store=tmp_path / "nowhere")
    assert code != 0
    assert line.startswith("boxport: ")
    assert "there is no such folder" in line


def test_wrong_setting_refuses_the_start_in_one_line(tmp_path: Path) -> None:
    code, line = ending(tmp_path, max_batch_size="many")
    assert code != 0
    assert line.startswith("boxport: BOXPORT_MAX_BATCH_SIZE=many: ")


def test_tampered_package_refuses_the_start_in_one_line(tmp_path: Path, store: Path) -> None:
    package = shutil.copytree(store / CLASSIFIER, tmp_path / "store" / CLASSIFIER) / "1"
    break_graph(package)
    code, line = ending(tmp_path, model_store=tmp_path / "store")
    assert code != 0
    assert "its sha256 is not the manifest's" in line


def test_package_that_nobody_known_signed_refuses_the_start_in_one_line(
    tmp_path: Path, store: Path, photos: Path
) -> None:
    package = shutil.copytree(store / CLASSIFIER, tmp_path / "store" / CLASSIFIER) / "1"
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    make_keys(private, public)
    settings = {"model_store": tmp_path / "store", "public_keys": public}
    code, line = ending(tmp_path, **settings)
    assert code != 0
    assert line.startswith(f"boxport: {package}: is not signed")
    sign(package, private)
    with running_server(tmp_path, **settings) as server:
        body = (photos / "cat.jpg").read_bytes()
        headers = {"content-type": "image/jpeg"}
        assert httpx.post(f"{server.url}/v1/classify", content=body, headers=headers).is_success
    manifest = package / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"tiger cat"', '"tiger"'))
    code, line = ending(tmp_path, **settings)
    assert code != 0
    assert "manifest.json: was changed after it was signed" in line


def test_package_that_cannot_be_loaded_ends_the_service_in_one_line(
    tmp_path: Path, store: Path
) -> None:
    """Its hash is right: only ONNX Runtime, in the worker, sees what is wrong."""
    package = shutil.copytree(store / CLASSIFIER, tmp_path / "store" / CLASSIFIER) / "1"
    graph = onnx.load(package / "model.onnx")
    graph.graph.node[0].op_type = "Nonsense"
    onnx.save(graph, package / "model.onnx")
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256((package / "model.onnx").read_bytes()).hexdigest()
    (package / "manifest.json").write_text(json.dumps(manifest))
    process = launch(tmp_path, free_port(), model_store=tmp_path / "store")
    process.wait(30)
    log = (tmp_path / "server.log").read_text()
    assert "ONNX Runtime refuses it" in log
    assert "Traceback" not in log


def test_missing_public_key_refuses_the_start_in_one_line(tmp_path: Path) -> None:
    code, line = ending(tmp_path, public_keys=tmp_path / "missing.pem")
    assert code != 0
    assert line.startswith(f"boxport: {tmp_path / 'missing.pem'}: ")
    code, line = ending(tmp_path, public_keys="")
    assert code != 0
    assert "BOXPORT_PUBLIC_KEYS=: " in line


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server of its own, and what its log held when it became ready."""
    with running_server(tmp_path_factory.mktemp("started")) as running:
        yield running, running.log.read_text()


def test_ready_means_that_every_model_has_run(started: tuple[Server, str]) -> None:
    log = started[1]
    assert "efficientdet_lite0_voc/1 is ready" in log
    assert "efficientnet_lite0_imagenet/1 is ready" in log


def test_termination_ends_the_server_in_good_order(started: tuple[Server, str]) -> None:
    server = started[0]
    server.process.terminate()
    assert server.process.wait(STOP_SECONDS) == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/livez", timeout=2)
