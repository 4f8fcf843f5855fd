"""Starts and stops a server, and reads the processor time and memory of its processes."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

START_SECONDS = 120
STOP_SECONDS = 20
CHILDREN_SECONDS = 1.5  # for a server's child processes to end by themselves, and after a signal
POLL_SECONDS = 0.02  # between two readiness checks
LOG_LINES = 15  # that an error quotes


class ServerError(Exception):
    """A server that cannot be measured; the message says which and why."""


@dataclass(frozen=True)
class Usage:
    """Of all processes of a server: processor time since their start, and memory in bytes.

    loop_seconds: of the main threads alone, where a server in Python has its event loop.
    pss: resident memory, with pages shared by several processes counted once; rss: counted in each.
    """

    cpu_seconds: float
    loop_seconds: float
    pss: int
    rss: int


@dataclass(frozen=True)
class Server:
    """A running server. ``start_seconds``: from its start until it was ready."""

    name: str
    port: int
    process: psutil.Process
    start_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def usage(self) -> Usage:
        cpu = loop = 0.0
        pss = rss = 0
        for process in _family(self.process):
            try:
                times, memory = process.cpu_times(), process.memory_full_info()
                main = next(t for t in process.threads() if t.id == process.pid)
            except (psutil.NoSuchProcess, psutil.ZombieProcess, StopIteration):
                continue  # it has ended meanwhile
            cpu += times.user + times.system
            loop += main.user_time + main.system_time
            pss, rss = pss + memory.pss, rss + memory.rss
        return Usage(cpu, loop, pss, rss)


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now."""
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    ready: str,
    log: Path,
) -> Iterator[Server]:
    """Start ``command`` in ``folder``, wait until it is ready, and stop it at the end.

    ready: the path that answers 200 once it is. {port} in the command, and PORT, SECOND_PORT and
    THIRD_PORT in its environment, are free ports. Raises ServerError with the last lines of the log
    if it does not start.
    """
    port, second, third = free_ports(3)
    ports = {"PORT": str(port), "SECOND_PORT": str(second), "THIRD_PORT": str(third)}
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word).format(port=port) for word in command],
            cwd=folder,
            env={**os.environ, **ports, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    parent = psutil.Process(process.pid)
    try:
        _wait(name, process, f"http://127.0.0.1:{port}{ready}", log)
        yield Server(name, port, parent, time.perf_counter() - started)
    finally:
        _stop(process, parent)


def _wait(name: str, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=5) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerError(f"{name} ended while it started: {_last_lines(log)}")
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(POLL_SECONDS)
    raise ServerError(f"{name} is not ready after {START_SECONDS} s: {_last_lines(log)}")


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])


def _stop(process: "subprocess.Popen[bytes]", parent: psutil.Process) -> None:
    family = _family(parent)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(
        family, timeout=CHILDREN_SECONDS
    )  # some servers leave children behind
    for signalled in (psutil.Process.terminate, psutil.Process.kill):
        for child in left:
            with suppress(psutil.NoSuchProcess):
                signalled(child)
        _, left = psutil.wait_procs(left, timeout=CHILDREN_SECONDS)


def _family(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
