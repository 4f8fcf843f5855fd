"""A worker is killed under load: only the requests that it was answering are lost."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.load import LOST, Plan
from benchmarks.load_process import LoadProcess
from tests.e2e.server import Server, running_server
from tests.soak.loads import photo_requests, port_of
from tests.soak.processes import client_ports, workers
from tests.soak.results import length, record

SECONDS = length("DEATH_SECONDS", 40)
RESPAWN_SECONDS = 30


def kill(worker: psutil.Process) -> set[int]:
    """Kill a worker; the client's ports of its connections."""
    worker.send_signal(signal.SIGSTOP)  # so that it answers none, and accepts none, in between
    ports = client_ports(worker)
    worker.send_signal(signal.SIGKILL)
    worker.wait(20)  # until BentoML, which looks every ten seconds, has buried it
    return ports


def wait_for_workers(server: Server, number: int) -> None:
    """Wait until there are ``number`` workers again."""
    began = time.monotonic()
    while len(workers(server)) < number:
        assert time.monotonic() - began < RESPAWN_SECONDS, server.log.read_text()[-2000:]
        time.sleep(0.1)


@pytest.mark.soak
@pytest.mark.parametrize("number", [2, 1])
def test_killed_worker_takes_only_its_own_answers_with_it(
    number: int, tmp_path: Path, photos: Path
) -> None:
    """If there is another worker, it keeps answering; if not, requests wait for the new one."""
    # half of the connections are new, so that both workers have some
    requests = photo_requests(photos, "/v1/classify")
    requests += photo_requests(photos, "/v1/classify", Connection="close")
    with running_server(tmp_path, workers=number) as server:
        while len(workers(server)) < number:
            time.sleep(0.1)
        load = LoadProcess(Plan(port_of(server), requests, SECONDS, connections=8), tmp_path)
        time.sleep(SECONDS / 5)
        killed_at = load.elapsed
        ports = kill(workers(server)[0])
        wait_for_workers(server, number)
        respawned = load.elapsed - killed_at
        outcomes = load.outcomes()
        alive = len(workers(server))
    lost = [outcome for outcome in outcomes if outcome.status == LOST]
    after = [outcome for outcome in outcomes if outcome.at > killed_at and outcome.status == 200]
    record(
        f"kill -9 of one of {number}",
        seconds=SECONDS,
        requests=len(outcomes),
        connections_of_the_killed=len(ports),
        lost=len(lost),
        respawned_seconds=round(respawned, 1),
        longest_answer_seconds=round(max(outcome.latency for outcome in outcomes), 1),
        answered_after=len(after),
    )
    assert {outcome.port for outcome in lost} <= ports
    assert len(lost) <= len(ports)
    assert {outcome.status for outcome in outcomes} <= {200, LOST}
    assert after
    assert alive == number
