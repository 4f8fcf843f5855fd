"""A package that runs in a process of its own: what it does to that process is its own affair.

A version that is on trial may crash in native code, never come back, or take all memory. In the
worker each of these would end every request that is in it. Here it ends a process that holds
nothing else, and its runs raise `ProcessEnded`, at once or after a time.

`python -m service.inference.isolated TRIAL FD …` is that process. It opens the package as the first
of its channels says, and then runs what comes on each, on a thread for each. Only this module
speaks to it, in pickles: what it runs are graphs, not code of theirs.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from typing import Any, Literal

import psutil

from service.cpus import lower_priority
from service.manifest import ModelManifest
from service.memory import available_memory
from service.package import Array, ModelPackage, PackageError, open_package, verify_package
from service.providers import PROVIDERS
from service.runtime.openvino_session import OpenVinoSession
from service.runtime.sessions import Device
from service.terminal import one_line

# How a version is tried on live traffic: on copies of requests, or on a share of them.
Trial = Literal["shadow", "canary"]

# For a package to be opened, and for its first run: some providers compile it; and for a run that
# has only what processor time others leave.
OPEN_SECONDS = 300.0
# Any other run hangs after so many times the longest of before, and these seconds at the least.
HANG_FACTOR, HANG_SECONDS = 20, 10.0
# Of the memory that the service may take, the share that a process may.
MEMORY_SHARE = 0.5
FIRST_TO_KILL = "1000"  # of all processes, to the kernel that runs out of memory
YIELDING_NICENESS = 19  # a fiftieth of the weight of a run, where both want a processor


class ProcessEnded(Exception):
    """The package's process is not there any more; the message says why."""


@dataclass(frozen=True)
class Opened:
    """What is to be known of a package that has been opened, here or in another process.

    copies: of the weights, that its sessions hold.
    """

    provider: str
    has_latency_session: bool
    copies: int

    @classmethod
    def of(cls, package: ModelPackage) -> "Opened":
        has_latency_session = package.latency_session is not None
        copies = 2 if has_latency_session and not package.weights else 1
        if isinstance(package.session, OpenVinoSession):
            copies = package.session.runs + has_latency_session
        return cls(package.provider, has_latency_session, copies)


class PackageProcess:
    """As `ModelPackage`, with its session in another process; ``run`` may be called from any
    thread, and ``runs`` at once.

    trial: in "shadow" the process has what processor time others leave, and no more.
    fault: why the process has ended; None while it runs, and after `close`.
    """

    def __init__(
        self,
        folder: Path,
        device: Device,
        *,
        public_keys: Sequence[Path] = (),
        batches: tuple[int, ...] = (),
        runs: int = 1,
        trial: Trial = "canary",
    ) -> None:
        """Raises PackageError as `open_package` does, and if the process does not come up."""
        self.manifest: ModelManifest = verify_package(folder, public_keys)
        self.fault: str | None = None
        self._trial, self._closed = trial, False
        self._longest = 0.0  # seconds that a run has taken
        self._lock = threading.Lock()
        self._channels: queue.LifoQueue[Connection] = queue.LifoQueue()
        first = self._start(runs, trial)
        providers = [provider.name for provider in device.providers]
        try:
            told = (folder, tuple(public_keys), replace(device, providers=()), providers, batches)
            first.send(told)
            answer = self._receive(first, OPEN_SECONDS)
        except ProcessEnded as error:
            raise PackageError(f"{folder}: its process did not open it: {error}") from error
        if isinstance(answer, Exception):
            self.close()
            raise answer
        self.opened = Opened(*answer)

    def run(self, feeds: dict[str, Array], *, alone: bool = False) -> dict[str, Array]:
        """As `ModelPackage.run`; raises ProcessEnded if there is no process, or it ends, or does
        not come back: then it is killed."""
        if self.fault is not None:
            raise ProcessEnded(self.fault)
        channel = self._channels.get()
        try:
            began = time.perf_counter()
            self._send(channel, (feeds, alone))
            answer = self._receive(channel, self._limit)
            self._longest = max(self._longest, time.perf_counter() - began)
        finally:
            self._channels.put(channel)
        if isinstance(answer, Exception):
            raise answer
        outputs: dict[str, Array] = answer
        return outputs

    @property
    def _limit(self) -> float:
        """Seconds after which a run hangs."""
        if self._trial == "shadow" or not self._longest:
            return OPEN_SECONDS
        return max(HANG_SECONDS, HANG_FACTOR * self._longest)

    @property
    def memory_bytes(self) -> int:
        """That the process holds now."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:  # it has ended
            return 0

    def close(self) -> None:
        """End the process; runs that are in it raise ProcessEnded."""
        self._closed = True
        self._process.kill()
        self._process.wait()

    def _start(self, runs: int, trial: Trial) -> Connection:
        """Start the process with a channel for each run; gives the first."""
        pairs = [socketpair() for _ in range(runs)]
        theirs = [str(other.fileno()) for _, other in pairs]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, trial, *theirs],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[other.fileno() for _, other in pairs],
        )
        channels = []
        for own, other in pairs:
            other.close()
            channels.append(Connection(own.detach()))
        for channel in channels:
            self._channels.put(channel)
        return channels[0]

    def _send(self, channel: Connection, message: Any) -> None:
        try:
            channel.send(message)
        except OSError as error:
            raise self._ended() from error

    def _receive(self, channel: Connection, seconds: float) -> Any:
        try:
            if not channel.poll(seconds):
                self._note(f"a run had not ended after {seconds:.0f} s")
                self._process.kill()
                raise self._ended()
            return channel.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> ProcessEnded:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._note(_explain(self._process.poll()))
        return ProcessEnded(self.fault or "it has been closed")

    def _note(self, fault: str) -> None:
        """Keep the first fault, which is the cause of others."""
        with self._lock:
            if self.fault is None and not self._closed:
                self.fault = fault


def _explain(status: int | None) -> str:
    """Why a process ended, by its exit ``status``."""
    if status is None:
        return "its process does not keep to its protocol"
    if status < 0:
        name = signal.Signals(-status).name
        of_memory = ": the system may have run out of memory" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{of_memory}"
    return f"its process ended with status {status}"


def main(trial: str, *numbers: str) -> None:
    """What the process does: see the module's description."""
    _confine(yields=trial == "shadow")
    channels = [Connection(int(number)) for number in numbers]
    folder, public_keys, device, providers, batches = channels[0].recv()
    try:
        rows = tuple(PROVIDERS[name] for name in providers)
        device = replace(device, providers=rows)
        package = open_package(folder, public_keys=public_keys, device=device, batches=batches)
        channels[0].send(astuple(Opened.of(package)))
    except Exception as error:
        channels[0].send(_plain(error))
        return

    def serve(channel: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):  # the worker has ended, or closed it
            while True:
                feeds, alone = channel.recv()
                try:
                    answer: Any = package.run(feeds, alone=alone)
                except Exception as error:
                    answer = _plain(error)
                channel.send(answer)
        os._exit(0)

    for channel in channels[1:]:
        threading.Thread(target=serve, args=(channel,), daemon=True).start()
    serve(channels[0])


def _plain(error: Exception) -> Exception:
    """``error`` as the other side can read it, whatever class of which library it is."""
    kind = PackageError if isinstance(error, PackageError) else RuntimeError
    return kind(one_line(error))


def _confine(*, yields: bool) -> None:
    """Let this process take no more than its share, and go first where there is not enough."""
    for number in (signal.SIGINT, signal.SIGTERM):  # to all of a group: the worker ends it
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "linux":
        return
    import resource

    most = int(MEMORY_SHARE * available_memory())
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_KILL)
    if yields:
        os.nice(YIELDING_NICENESS)
    else:
        lower_priority()


if __name__ == "__main__":
    main(*sys.argv[1:])
