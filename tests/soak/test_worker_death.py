"""A worker is killed or held under load: only the requests that it was answering are lost, and what
the others and the next one count is what the load generator has counted."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.load import LOST, Outcome, Plan
from benchmarks.load_process import LoadProcess
from tests.e2e.server import Server, eventually, running_server
from tests.soak.loads import photo_requests, port_of
from tests.soak.processes import client_ports, workers
from tests.soak.results import length, record

SECONDS = length("DEATH_SECONDS", 40)
BACK_SECONDS = 5  # in which goodput is to be back, on a machine that is idle otherwise


def end(worker: psutil.Process, how: signal.Signals) -> set[int]:
    """Kill or hold a worker; the client's ports of its connections."""
    worker.send_signal(signal.SIGSTOP)  # so that it answers none, and accepts none, in between
    ports = client_ports(worker)
    worker.send_signal(how)
    worker.wait(20)  # until the supervisor, which has killed it if it was held, has buried it
    return ports


def goodput(outcomes: list[Outcome], first: float, last: float) -> float:
    """Answers a second between two times."""
    found = [one for one in outcomes if one.status == 200 and first <= one.ended < last]
    return len(found) / (last - first)


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "held"])
@pytest.mark.parametrize("number", [4, 1])
def test_a_worker_takes_only_its_own_answers_with_it(
    number: int, how: signal.Signals, tmp_path: Path, photos: Path
) -> None:
    """If there are others, they keep answering; if not, requests wait for the new one."""
    # half of the connections are new, so that all workers have some
    requests = photo_requests(photos, "/v1/classify")
    requests += photo_requests(photos, "/v1/classify", Connection="close")
    with running_server(tmp_path, workers=number) as server:
        assert len(workers(server)) == number, "it is ready when all are"
        load = LoadProcess(Plan(port_of(server), requests, SECONDS, connections=16), tmp_path)
        time.sleep(SECONDS / 5)
        first, held_at = workers(server)[0], load.elapsed
        ports = end(first, how)
        gone = load.elapsed - held_at
        eventually(lambda: len(workers(server)) == number, "another one is started")
        started = load.elapsed - held_at
        outcomes = load.outcomes()
        eventually(lambda: is_ready(server, number), "all are ready again")
        told = server.metrics()
        assert first.pid not in [worker.pid for worker in workers(server)]
    lost = [outcome for outcome in outcomes if outcome.status == LOST]
    answered = [outcome for outcome in outcomes if outcome.status == 200]
    counted = told.get("boxport_requests_total", route="/v1/classify", reason="ok")
    before = goodput(outcomes, 1, held_at)
    back = goodput(outcomes, held_at + BACK_SECONDS, SECONDS)
    record(
        f"{how.name} of one of {number}",
        seconds=SECONDS,
        requests=len(outcomes),
        connections_of_the_lost_worker=len(ports),
        lost=len(lost),
        gone_seconds=round(gone, 1),
        started_seconds=round(started, 1),
        goodput_before=round(before, 1),
        goodput_after_five_seconds=round(back, 1),
        answered=len(answered),
        counted=int(counted),
    )
    assert {outcome.port for outcome in lost} <= ports
    assert len(lost) <= len(ports)
    assert {outcome.status for outcome in outcomes} <= {200, LOST}
    assert back > 0
    # it may have been killed between a reply and its count, or between a count and its reply
    assert abs(counted - len(answered)) <= len(lost)
    for name in ("boxport_request_seconds_count", "boxport_images_total"):
        labels = {"outcome": "ok"} if name == "boxport_images_total" else {"route": "/v1/classify"}
        assert abs(told.get(name, **labels) - len(answered)) <= len(lost)
    assert told.get("boxport_worker_ends_total") == 1
    assert told.get("boxport_images_in_service") == 0
    assert told.get("boxport_requests_in_flight") == 1, "the scrape itself"


def is_ready(server: Server, number: int) -> bool:
    return server.metrics().get("boxport_workers") == number
