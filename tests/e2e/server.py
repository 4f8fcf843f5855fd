"""A real server process for tests."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.paths import ROOT

BENTOML = Path(sys.executable).parent / "bentoml"
START_SECONDS = 180  # on a machine that is busy with other work
STOP_SECONDS = 60
# How the models share two processors, so that `GET /v1/models` says the same on all machines.
LAYOUT = {"max_batch_size": 2, "concurrent_runs": 2, "threads": 1}
PORTS = range(26_000, 31_000)  # those of local clusters are below, the system's own above


@dataclass(frozen=True)
class Server:
    """A running service. ``log`` grows as it runs. ``process`` is another test process's child
    where they share it."""

    url: str
    process: subprocess.Popen | psutil.Process
    log: Path

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests; the one that was started looks after them."""
        return psutil.Process(self.process.pid).children()

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def grpc(self) -> str:
        """Where gRPC is, of a server that was started with it."""
        host, port = self.address
        return f"{host}:{port + 1}"

    def metrics(self, key: str | None = None) -> "Metrics":
        headers = {} if key is None else {"x-api-key": key}
        reply = httpx.get(f"{self.url}/metrics", headers=headers, timeout=30)
        assert reply.status_code == 200, reply.text
        return Metrics.parse(reply.text)


@dataclass(frozen=True)
class Metrics:
    """A scrape of /metrics: samples by their name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def parse(cls, text: str) -> "Metrics":
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def get(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels among theirs; 0 if there is none."""
        return sum(
            value
            for (other, found), value in self.samples.items()
            if other == name and labels.items() <= dict(found).items()
        )

    def values(self, label: str) -> set[str]:
        """Every value that ``label`` has."""
        return {value for _, labels in self.samples for name, value in labels if name == label}


def free_port(*offsets: int, among: range = PORTS) -> int:
    """A port that is free together with those at ``offsets`` from it.

    The system will give none of them to a connection before a server has taken it.
    """
    while True:
        port = secrets.choice(among)
        try:
            for taken in (port, *(port + offset for offset in offsets)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", taken))
        except OSError:
            continue
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
def running_server(folder: Path, *, grpc: bool = False, **settings: object) -> Iterator[Server]:
    """A server that is ready, stopped at the end."""
    port = free_port(1)
    if grpc:
        settings["grpc_port"] = port + 1
    process = launch(folder, port, **settings)
    server = Server(f"http://127.0.0.1:{port}", process, folder / "server.log")
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for worker in server.workers:  # each is in a process group of its own
                worker.kill()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def eventually(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until ``condition`` holds; a server that is away for a moment does not count."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"in {seconds} s it never came that {what}")


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
