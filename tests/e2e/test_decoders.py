"""A service of several workers whose decoders are killed and stopped, and that ends meanwhile."""

import io
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from service.decoding import server as decoding
from tests.e2e.server import STOP_SECONDS, Server, eventually, running_server
from tests.export.small import small_package

WORKERS = 2
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="decoders need Linux"),
]


def fork_servers(server: Server) -> list[psutil.Process]:
    """Those of all workers."""
    return [
        child
        for worker in server.workers
        for child in worker.children()
        if decoding.__name__ in child.cmdline()
    ]


def decoders(server: Server) -> list[psutil.Process]:
    return [decoder for one in fork_servers(server) for decoder in one.children()]


@pytest.fixture
def webp() -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(buffer, "WEBP")
    return buffer.getvalue()


def ask(server: Server, photo: bytes) -> int:
    headers = {"Content-Type": "image/webp"}
    return httpx.post(
        f"{server.url}/v1/classify", content=photo, headers=headers, timeout=60
    ).status_code


def test_no_worker_needs_anothers_decoders_and_a_stop_waits_for_an_image(
    tmp_path: Path, webp: bytes
) -> None:
    store = small_package(tmp_path / "store", "small").parent.parent
    settings = {"model_store": store, "workers": WORKERS}
    with running_server(tmp_path, **settings) as server, ThreadPoolExecutor(16) as pool:
        eventually(lambda: len(decoders(server)) >= WORKERS, "every worker has a decoder")
        parents = {one.ppid() for one in fork_servers(server)}
        assert parents == {worker.pid for worker in server.workers}
        assert set(pool.map(lambda _: ask(server, webp), range(64))) == {200}

        killed = fork_servers(server)[0]
        its_decoders = killed.children()
        killed.kill()
        assert not psutil.wait_procs(its_decoders, timeout=10)[1]
        assert set(pool.map(lambda _: ask(server, webp), range(64))) == {200}
        eventually(lambda: len(fork_servers(server)) == WORKERS, "its server is started anew")

        for decoder in decoders(server):
            decoder.send_signal(signal.SIGSTOP)
        waiting = pool.submit(ask, server, webp)
        eventually(lambda: server.metrics().get("boxport_images_in_service"), "it is in service")
        server.process.terminate()
        eventually(
            lambda: httpx.get(f"{server.url}/readyz", timeout=5).status_code == 503, "it drains"
        )
        everyone = [*fork_servers(server), *decoders(server)]
        for decoder in decoders(server):
            decoder.send_signal(signal.SIGCONT)
        assert waiting.result() == 200
        assert server.process.wait(STOP_SECONDS) == 0
        assert not psutil.wait_procs(everyone, timeout=10)[1], "no decoder outlives its service"
    assert "Traceback" not in server.log.read_text()
