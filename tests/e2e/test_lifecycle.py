"""From start to end: settings from a file, a worker that dies, and a stop that loses nobody.

How it stops under load is in test_start_and_stop.py; how it goes on for load balancers, and stops
at once when told twice, in test_v2_repository.py.
"""

import socket
import threading
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import STOP_SECONDS, Server, eventually, launch, running_server
from tests.packages import DETECTOR, store_of

SLOW = {"max_batch_size": 1, "concurrent_runs": 1, "max_images": 60}


class Asking(threading.Thread):
    """A request of so many images, which is slow; ``reply`` is there once it has ended."""

    def __init__(self, server: Server, photo: bytes, number: int) -> None:
        super().__init__()
        self._url = f"{server.url}/v1/detect"
        self._files = [("images", ("photo.jpg", photo))] * number
        self.reply: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        self.reply = httpx.post(self._url, files=self._files, timeout=120)


def ask(server: Server, photo: bytes) -> httpx.Response:
    headers = {"content-type": "image/jpeg"}
    return httpx.post(f"{server.url}/v1/detect", content=photo, headers=headers, timeout=60)


def wait_for_images(server: Server) -> None:
    images = "boxport_images_in_service"
    eventually(lambda: server.metrics().get(images) > 0, "images are in service")


def ready(server: Server) -> int:
    return httpx.get(f"{server.url}/readyz", timeout=30).status_code


def test_settings_come_from_a_file_and_a_stop_loses_nobody(tmp_path: Path, cat: bytes) -> None:
    file = tmp_path / "boxport.toml"
    lines = [f"{name} = {value}" for name, value in SLOW.items()]
    lines += ['execution_providers = ["tensorrt", "cpu"]', "allow_fallback = true"]
    file.write_text("\n".join(lines))
    store = store_of(tmp_path / "store", DETECTOR)
    with running_server(tmp_path, settings_file=file, model_store=store) as server:
        models = httpx.get(f"{server.url}/v1/models").json()["models"]
        assert {model["status"]["max_batch_size"] for model in models} == {1}
        assert {model["status"]["provider"] for model in models} == {"cpu"}
        asking = Asking(server, cat, 60)
        wait_for_images(server)
        server.process.terminate()
        eventually(lambda: ready(server) == 503, "it is not ready")
        assert asking.is_alive(), "the slow request was still in service"
        late = ask(server, cat)
        assert late.status_code == 200, "who comes before the load balancer knows is answered"
        asking.join()
        assert asking.reply is not None
        assert asking.reply.status_code == 200
        assert all("detections" in result for result in asking.reply.json()["results"])
        assert server.process.wait(STOP_SECONDS) == 0
    log = server.log.read_text()
    assert "SIGTERM: not ready any more" in log
    assert "Traceback" not in log


@pytest.mark.full
def test_a_worker_that_dies_is_replaced_in_a_container_too(
    tmp_path: Path, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_CONTAINERIZED", "true")  # by itself BentoML would end
    with running_server(tmp_path) as server:
        (worker,) = server.workers
        worker.kill()
        eventually(lambda: server.workers and server.workers[0].pid != worker.pid, "another one")
        eventually(lambda: ready(server) == 200, "it is ready", 180)
        assert ask(server, cat).status_code == 200


@pytest.mark.full
def test_the_service_ends_with_a_worker_where_that_is_asked_for(tmp_path: Path) -> None:
    with running_server(tmp_path, workers=2, on_worker_end="end") as server:
        server.workers[0].kill()
        server.process.wait(STOP_SECONDS)
    assert "has ended" in server.log.read_text()


def test_a_port_that_is_taken_refuses_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = launch(tmp_path, taken.getsockname()[1])
        assert process.wait(STOP_SECONDS) != 0
    assert "Address already in use" in (tmp_path / "server.log").read_text()
