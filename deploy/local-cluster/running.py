"""Runs a cluster in the foreground, from its start to its end."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from cluster import HERE, MARK, Cluster, ClusterError
from conditions import Condition, list_conditions
from leftovers import end_leftovers
from processes import BALANCER, NotRunning, Process, Processes

from service.terminal import say

POLL_SECONDS = 0.5
LEFTOVER_SECONDS = 10.0


def run(cluster: Cluster, host: str, replicas: int) -> None:
    """Start a cluster, report changes of its replicas on standard error, and end it on SIGINT or
    SIGTERM: once requests are finished, or at once on a second signal.

    Raises ClusterError if it or all of its replicas cannot start, SettingsError for a wrong
    setting, and OSError if the folder cannot be written.
    """
    environment = cluster.environment(host, replicas)
    with cluster.claimed():
        end_leftovers(MARK, str(cluster.folder), LEFTOVER_SECONDS)
        cluster.check_ports(host, replicas)
        cluster.write_replicas(replicas)
        command = [sys.executable, "-m", "supervisor.supervisord"]
        command += ["-c", str(HERE / "supervisord.conf")]
        # in a session of its own, so that Ctrl-C reaches only this process
        supervisord = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            signalled = _end_on_signals(cluster, supervisord)
            _watch(cluster, supervisord)
            if supervisord.returncode and not signalled.is_set():
                log = cluster.folder / "supervisord.log"
                raise ClusterError(f"supervisord ended with {supervisord.returncode}; see {log}")
        finally:
            supervisord.terminate()
            supervisord.wait()
            end_leftovers(MARK, str(cluster.folder), LEFTOVER_SECONDS)


def _end_on_signals(cluster: Cluster, supervisord: "subprocess.Popen[bytes]") -> threading.Event:
    """Install the handlers; the event is set by the first signal."""
    signalled = threading.Event()

    def end(number: int, frame: object) -> None:
        if signalled.is_set():
            end_leftovers(MARK, str(cluster.folder), 0)
        else:
            signalled.set()
            say("the replicas finish their requests; a second signal ends them at once")
            supervisord.terminate()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    return signalled


def _watch(cluster: Cluster, supervisord: "subprocess.Popen[bytes]") -> None:
    """Report changes until supervisord ends. Raises ClusterError once the balancer, or every
    replica, is given up."""
    reported: dict[str, str] = {}
    while supervisord.poll() is None:
        try:
            now = list_conditions(cluster)
            _check(now, Processes(cluster.socket).list(BALANCER)[BALANCER])
        except NotRunning:  # not yet, or no longer
            now = {}
        for name, condition in now.items():
            if reported.get(name) != str(condition):
                say(f"replica {name} at {cluster.url(name)} is {condition}")
                reported[name] = str(condition)
        time.sleep(POLL_SECONDS)


def _check(conditions: Mapping[str, Condition], balancer: Process) -> None:
    if balancer.given_up:
        raise ClusterError(f"the balancer cannot start: {balancer.last_line()}")
    replicas = [condition.process for condition in conditions.values()]
    if all(replica.given_up for replica in replicas):
        raise ClusterError(f"no replica can start: {replicas[0].last_line()}")
