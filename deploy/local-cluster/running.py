"""A cluster from its start to its end, in the foreground."""

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

LOOK_SECONDS = 0.5
LEFTOVER_SECONDS = 10.0


def run(cluster: Cluster, host: str, replicas: int) -> None:
    """Start a cluster, tell on standard error what becomes of its replicas, and end it on SIGINT or
    SIGTERM: in good order, and at once when told twice.

    Raises ClusterError if it cannot be started or no replica can, SettingsError for a setting that
    is wrong, and OSError if the folder cannot be written.
    """
    environment = cluster.environment(host, replicas)
    with cluster.claimed():
        end_leftovers(MARK, str(cluster.folder), LEFTOVER_SECONDS)
        cluster.check_ports(host, replicas)
        cluster.write_replicas(replicas)
        command = [sys.executable, "-m", "supervisor.supervisord"]
        command += ["-c", str(HERE / "supervisord.conf")]
        # in a session of its own, so that Ctrl-C comes here only
        supervisord = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            told = _end_on_signals(cluster, supervisord)
            _watch(cluster, supervisord)
            if supervisord.returncode and not told.is_set():
                log = cluster.folder / "supervisord.log"
                raise ClusterError(f"supervisord ended with {supervisord.returncode}; see {log}")
        finally:
            supervisord.terminate()
            supervisord.wait()
            end_leftovers(MARK, str(cluster.folder), LEFTOVER_SECONDS)


def say(sentence: str) -> None:
    """On standard error."""
    print(f"boxport: {sentence}", file=sys.stderr, flush=True)


def _end_on_signals(cluster: Cluster, supervisord: "subprocess.Popen[bytes]") -> threading.Event:
    """Whether a signal came, from now on."""
    told = threading.Event()

    def end(number: int, frame: object) -> None:
        if told.is_set():
            end_leftovers(MARK, str(cluster.folder), 0)
        else:
            told.set()
            say("the replicas finish what they have; once more ends them at once")
            supervisord.terminate()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    return told


def _watch(cluster: Cluster, supervisord: "subprocess.Popen[bytes]") -> None:
    """Tell what changes, until supervisord ends. Raises ClusterError once the balancer, or every
    replica, is given up."""
    told: dict[str, str] = {}
    while supervisord.poll() is None:
        try:
            now = list_conditions(cluster)
            _check(now, Processes(cluster.socket).list(BALANCER)[BALANCER])
        except NotRunning:  # not yet, or not any more
            now = {}
        for name, condition in now.items():
            if told.get(name) != str(condition):
                say(f"replica {name} at {cluster.url(name)} is {condition}")
                told[name] = str(condition)
        time.sleep(LOOK_SECONDS)


def _check(conditions: Mapping[str, Condition], balancer: Process) -> None:
    if balancer.given_up:
        raise ClusterError(f"the balancer cannot start: {balancer.last_line()}")
    replicas = [condition.process for condition in conditions.values()]
    if all(replica.given_up for replica in replicas):
        raise ClusterError(f"no replica can start: {replicas[0].last_line()}")
