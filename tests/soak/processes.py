"""Memory and descriptors of a server's processes."""

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.e2e.server import Server

WORKER = "_bentoml_impl.worker.service"
DECODERS = "service.decoding.server"
CGROUPS = (  # version 2, then 1: folder, limit, where kills are counted
    (Path("/sys/fs/cgroup"), "memory.max", "memory.events"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),
)


def workers(server: Server) -> list[psutil.Process]:
    """The worker processes, oldest first."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = []
    for child in children:
        try:
            if WORKER in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:  # it has ended since
            pass
    return sorted(found, key=lambda worker: worker.create_time())


def resident_bytes(server: Server) -> int:
    """Of all processes; of decoders what they do not share with the one they are forked from, and
    the files in memory that they are handed."""
    parent = psutil.Process(server.process.pid)
    return sum(map(_own_bytes, [parent, *parent.children(recursive=True)]))


def _own_bytes(process: psutil.Process) -> int:
    try:
        parent = process.parent()
        if parent is None or DECODERS not in parent.cmdline():
            return int(process.memory_info().rss)
        own = int(process.memory_full_info().uss)
        return own + sum(
            file.stat().st_blocks * 512
            for file in Path(f"/proc/{process.pid}/fd").iterdir()
            if "memfd:" in str(file.readlink())
        )
    except (psutil.Error, OSError):  # it has ended since
        return 0


def descriptors(server: Server) -> int:
    """The number of descriptors that the workers have open."""
    return sum(worker.num_fds() for worker in workers(server))


def client_ports(worker: psutil.Process) -> set[int]:
    """On the other side of the connections that ``worker`` has accepted."""
    return {
        connection.raddr.port
        for connection in worker.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.raddr
    }


class Memory:
    """Resident bytes of a server over time. samples: (seconds, bytes)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._began = time.monotonic()
        self.samples: list[tuple[float, int]] = []

    def look(self) -> None:
        self.samples.append((time.monotonic() - self._began, resident_bytes(self._server)))

    def mean(self, first: float, last: float) -> float:
        """Of the samples between two shares of the time, such as 0.2 and 0.3."""
        end = self.samples[-1][0]
        chosen = [b for seconds, b in self.samples if first * end <= seconds <= last * end]
        return statistics.mean(chosen or [self.samples[-1][1]])

    def growth(self, warm_up: float) -> float:
        """By which share the last tenth is above the tenth after the warm-up, itself a share of
        the time."""
        return self.mean(0.9, 1) / self.mean(warm_up, warm_up + 0.1) - 1


@contextmanager
def watched_memory(server: Server, seconds: float = 0.5) -> Iterator[Memory]:
    """Sample the memory every ``seconds`` while the block runs."""
    memory, over = Memory(server), threading.Event()

    def background() -> None:
        while not over.wait(seconds):
            memory.look()

    watcher = threading.Thread(target=background)
    memory.look()
    watcher.start()
    try:
        yield memory
    finally:
        over.set()
        watcher.join()
        memory.look()


@contextmanager
def in_pod(server: Server, total: int) -> Iterator[Callable[[], int | None]]:
    """Have the kernel hold a server to so many bytes, with what it has already.

    Yields how many of its processes were killed for it; None where no cgroup can be made.
    """
    if (made := _make_cgroup(server, total - resident_bytes(server))) is None:
        yield lambda: None
        return
    pod, events = made
    try:
        _move(server, pod)
        yield lambda: int(events.read_text().split("oom_kill ")[1].split()[0])
    finally:
        _move(server, pod.parent)
        pod.rmdir()


def _make_cgroup(server: Server, limit: int) -> tuple[Path, Path] | None:
    """The folder of a new one, and the file that counts who is killed in it."""
    for root, limit_file, events in CGROUPS:
        pod = root / f"boxport-{server.process.pid}"
        try:
            pod.mkdir()
        except OSError:
            continue
        if (pod / limit_file).exists():
            (pod / limit_file).write_text(str(limit))
            return pod, pod / events
        pod.rmdir()
    return None


def _move(server: Server, cgroup: Path) -> None:
    parent = psutil.Process(server.process.pid)
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(OSError):  # it has ended since
            (cgroup / "cgroup.procs").write_text(str(process.pid))
