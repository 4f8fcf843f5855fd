"""The state of the replicas of a running cluster."""

from collections.abc import Mapping
from dataclasses import dataclass

from balancer import Seen, list_replicas
from cluster import Cluster
from processes import Process, Processes


@dataclass(frozen=True)
class Condition:
    """The state of one replica: its process and the balancer's view of it.

    seen: None while the balancer does not answer.
    """

    process: Process
    seen: Seen | None

    @property
    def up(self) -> bool:
        """Whether it gets requests."""
        return self.seen is not None and self.seen.status.startswith("UP")

    def __str__(self) -> str:
        if self.process.given_up:
            return f"given up: {self.process.last_line()}"
        if self.process.state == "BACKOFF":
            return f"tried again: {self.process.last_line()}"
        if self.up:
            return "up"
        stopping = self.seen is not None and self.seen.status.startswith("NOLB")
        return "stopping" if stopping else "not ready"


def list_conditions(cluster: Cluster) -> dict[str, Condition]:
    """The replicas by name; raises NotRunning if the cluster does not run."""
    processes = Processes(cluster.socket).list()
    try:
        seen: Mapping[str, Seen] = list_replicas(cluster.page)
    except OSError:  # it is still starting
        seen = {}
    return {name: Condition(process, seen.get(name)) for name, process in processes.items()}
