"""The processes of a cluster, through supervisord's XML-RPC."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, Fault, ServerProxy

from cluster import ClusterError
from supervisor.xmlrpc import SupervisorTransport

REPLICAS, BALANCER = "replica", "balancer"  # as supervisord.conf names them
REFUSED = 1  # exit status of a service that cannot start


class NotRunning(ClusterError):
    """No cluster runs here."""


@dataclass(frozen=True)
class Process:
    """A process of supervisord. state: STARTING, RUNNING, BACKOFF, FATAL …"""

    state: str
    exit_status: int
    pid: int
    log: Path

    @property
    def given_up(self) -> bool:
        """Whether it could not start, and is not started again."""
        return self.state == "FATAL" or (self.state == "EXITED" and self.exit_status == REFUSED)

    def last_line(self) -> str:
        """The last line of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return next((line for line in reversed(text.split("\n")) if line), "its log is empty")


class Processes:
    """The processes of the supervisord that listens on ``socket``.

    Every method raises NotRunning if it does not run, or is about to end.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = SupervisorTransport(serverurl=f"unix://{socket}")
        # a placeholder: the transport has the address
        self._supervisord = ServerProxy("http://127.0.0.1", transport).supervisor

    def list(self, group: str = REPLICAS) -> dict[str, Process]:
        """The processes of a group, by name."""
        with self._running():
            processes: Any = self._supervisord.getAllProcessInfo()
        return {
            info["name"]: Process(
                info["statename"], info["exitstatus"], info["pid"], Path(info["logfile"])
            )
            for info in processes
            if info["group"] == group
        }

    def restart(self, name: str, process: Process) -> None:
        """Let a replica finish its requests and restart; start it if it is given up."""
        with self._running(), suppress(Fault):  # it has just ended or started by itself
            if process.given_up:
                self._supervisord.startProcess(f"{REPLICAS}:{name}", False)
            else:
                self._supervisord.signalProcess(f"{REPLICAS}:{name}", "TERM")

    @contextmanager
    def _running(self) -> Iterator[None]:
        try:
            yield
        except (OSError, HTTPException, Error) as error:
            raise NotRunning(f"no cluster runs from {self._socket.parent}: {error}") from error
