"""The Dockerfile's steps, done in a chroot: what they end in serves as a container would.

Process 1 of its own namespace, user 10001, everything read-only but /var/lib/boxport. It takes
root, and a base Python with pip.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.container.size import BASE_IMAGE, LIMITS, size_of
from tests.deploy.container.chroot import PYTHON
from tests.deploy.container.dockerfile import Build, Image
from tests.deploy.container.serving import label_of, serving
from tests.e2e.server import STOP_SECONDS, Server, eventually, free_port
from tests.paths import ROOT

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if os.geteuid() != 0:
        pytest.fail("run this as root: the Dockerfile's steps are done in a chroot")
    if not Path(PYTHON, "bin", "pip").exists():
        pytest.fail(f"{PYTHON} has no pip: install it, as the base image has it")
    into = tmp_path_factory.mktemp("image")
    return Build(ROOT / "deploy" / "Dockerfile", ROOT, into, VARIANT="cpu").run()


@contextmanager
def started(image: Image, folder: Path, **settings: str) -> Iterator[tuple[Server, Path]]:
    """The image's command in a container; its server and its volume."""
    volume, port = folder / "volume", free_port()
    volume.mkdir()
    user, group = map(int, image.user.split(":"))
    os.chown(volume, user, group)  # an engine copies the owner from the image
    container = image.container(volume, BENTOML_PORT=str(port), **settings)
    command, log = container.command(image.command), folder / "server.log"
    with serving(command, port, folder, os.environ, log) as server:
        yield server, volume


def first_process(server: Server) -> psutil.Process:
    """The container's process 1."""
    (process,) = psutil.Process(server.process.pid).children()
    return process


def test_it_serves_as_its_own_user_on_a_read_only_root(
    image: Image, photos: Path, tmp_path: Path
) -> None:
    with started(image, tmp_path) as (server, volume):
        assert label_of(server, photos / "cat.jpg") == "cat"
        first = first_process(server)
        assert {first.uids().real, *(child.uids().real for child in first.children())} == {10001}
        assert any(volume.iterdir())
        port = server.url.rpartition(":")[2]
        container = image.container(volume, BENTOML_PORT=port)
        asked = subprocess.run(container.command(image.health), capture_output=True, text=True)
        assert (asked.returncode, asked.stderr) == (0, "")
        touched = subprocess.run(container.command(["touch", "/app/x"]), capture_output=True)
        assert b"Read-only file system" in touched.stderr
    asked = subprocess.run(container.command(image.health), capture_output=True, text=True)
    assert asked.returncode == 1
    assert asked.stderr.startswith("boxport: ")


def test_environment_has_nothing_to_install_with(image: Image) -> None:
    assert not list(image.root.glob("opt/boxport/bin/pip*"))
    assert not list(image.root.glob("opt/boxport/lib/python*/site-packages/torch*"))


def test_it_is_not_too_large(image: Image) -> None:
    assert BASE_IMAGE + size_of(image.root) < LIMITS["cpu"]


def test_dead_worker_ends_the_container(image: Image, tmp_path: Path) -> None:
    with started(image, tmp_path) as (server, _):
        (worker,) = first_process(server).children()
        worker.kill()
        server.process.wait(STOP_SECONDS)


def test_sigterm_drains(image: Image, photos: Path, tmp_path: Path) -> None:
    """As process 1: not ready at once, but answering, until those who ask have noticed; then an end
    in good order."""
    labels: list[str] = []
    noticed = threading.Event()

    def ask(server: Server) -> None:
        while not noticed.is_set():
            labels.append(label_of(server, photos / "cat.jpg"))

    with (
        started(image, tmp_path, BOXPORT_DRAIN_SECONDS="4") as (server, _),
        ThreadPoolExecutor() as pool,
    ):
        asking = [pool.submit(ask, server) for _ in range(2)]
        try:
            eventually(lambda: labels, "the first is answered")
            first_process(server).send_signal(signal.SIGTERM)
            ready = f"{server.url}/readyz"
            eventually(lambda: httpx.get(ready).status_code == 503, "it is not ready", seconds=2)
            before = len(labels)
            eventually(lambda: len(labels) > before, "it answers still", seconds=2)
        finally:
            noticed.set()
        for future in asking:
            future.result()
        assert server.process.wait(STOP_SECONDS) == 0
    assert set(labels) == {"cat"}
