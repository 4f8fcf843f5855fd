"""Restarts all replicas, one after the other, while the others answer."""

import time
from urllib.request import ProxyHandler, build_opener

from cluster import Cluster, ClusterError
from conditions import Condition, list_conditions
from processes import Processes

from service.terminal import say

POLL_SECONDS = 0.2
READY_TIMEOUT_SECONDS = 2.0


def roll(cluster: Cluster, seconds: float) -> None:
    """Restart every replica; those that are not up first, as a restart may mend them.

    seconds: for each to end, to start and to be seen by the balancer. Raises ClusterError if no
    other replica is up before a restart, or if one does not come back; the others keep serving.
    """
    processes = Processes(cluster.socket)
    before = list_conditions(cluster)
    for name in sorted(before, key=lambda name: before[name].up):
        conditions = list_conditions(cluster)
        if not any(condition.up for other, condition in conditions.items() if other != name):
            raise ClusterError(f"no replica but {name} is up: none would answer meanwhile")
        began = time.monotonic()
        old = conditions[name].process
        processes.restart(name, old)
        while not _is_back(cluster, name, condition := list_conditions(cluster)[name], old.pid):
            if condition.process.given_up or time.monotonic() - began > seconds:
                raise ClusterError(
                    f"replica {name} does not come back, the others keep serving: {condition}"
                )
            time.sleep(POLL_SECONDS)
        say(f"replica {name} is back after {time.monotonic() - began:.1f} s")


def _is_back(cluster: Cluster, name: str, condition: Condition, old_pid: int) -> bool:
    """Whether its new process is ready and the balancer knows. The replica is asked too: the
    balancer may not have noticed yet that the old process is gone."""
    return condition.process.pid not in (0, old_pid) and condition.up and _is_ready(cluster, name)


def _is_ready(cluster: Cluster, name: str) -> bool:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{cluster.url(name)}/readyz", timeout=READY_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False
