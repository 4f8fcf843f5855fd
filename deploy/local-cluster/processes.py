"""The processes of a cluster, by supervisord's XML-RPC."""

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
REFUSED = 1  # exit status of what cannot start


class NotRunning(ClusterError):
    """No cluster runs here."""


@dataclass(frozen=True)
class Process:
    """``state`` is in supervisord's words: STARTING, RUNNING, BACKOFF, FATAL …"""

    state: str
    exit_status: int
    pid: int
    log: Path

    @property
    def given_up(self) -> bool:
        """Whether it refused to start, and is not started again."""
        return self.state == "FATAL" or (self.state == "EXITED" and self.exit_status == REFUSED)

    def last_line(self) -> str:
        """Of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return next((line for line in reversed(text.split("\n")) if line), "its log is empty")


class Processes:
    """Those that the supervisord looks after which listens on ``socket``.

    Every method raises NotRunning if there is none, or one that is about to end.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = SupervisorTransport(serverurl=f"unix://{socket}")
        # the transport knows the address; this one only has to look like one
        self._supervisord = ServerProxy("http://127.0.0.1", transport).supervisor

    def list(self, group: str = REPLICAS) -> dict[str, Process]:
        """Those of a group by their names."""
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
        """Have a replica end in good order, after which it is started again; or start it."""
        with self._running(), suppress(Fault):  # it has just ended or started of itself
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
