"""A real server process for tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
BENTOML = Path(sys.executable).parent / "bentoml"
START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running service. ``log`` grows as it runs."""

    url: str
    process: subprocess.Popen
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def launch(folder: Path, port: int, **settings: object) -> subprocess.Popen:
    """Start `bentoml serve` with BOXPORT_ settings, its home and its log in ``folder``."""
    environment = {
        **os.environ,
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        **{f"BOXPORT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            [BENTOML, "serve", "service.app:Boxport", "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def running_server(folder: Path, **settings: object) -> Iterator[Server]:
    """A server that is ready, stopped at the end."""
    port = free_port()
    process = launch(folder, port, **settings)
    server = Server(f"http://127.0.0.1:{port}", process, folder / "server.log")
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{server.log.read_text()}")
        try:
            if httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"not ready after {START_SECONDS} s:\n{server.log.read_text()}")
