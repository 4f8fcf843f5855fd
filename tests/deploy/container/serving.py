"""Runs a service during a test, started by any command."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.e2e.server import STOP_SECONDS, Server, wait_until_ready


@contextmanager
def serving(
    command: Sequence[str | Path],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
) -> Iterator[Server]:
    """A server that ``command`` starts in ``folder`` and that listens on ``port``; ready, and ended
    at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            started = psutil.Process(process.pid).children()  # `unshare` does not pass signals on
            (started[0] if command[0] == "unshare" else process).terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()


def label_of(server: Server, photo: Path) -> str:
    """The first detection of the default detector in ``photo``."""
    headers = {"content-type": "image/jpeg"}
    reply = httpx.post(
        f"{server.url}/v1/detect", content=photo.read_bytes(), headers=headers, timeout=60
    )
    assert reply.status_code == 200, reply.text
    label: str = reply.json()["results"][0]["detections"][0]["label"]
    return label
