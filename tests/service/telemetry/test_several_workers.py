"""A scrape is of the service, whichever of its workers answers it."""

from dataclasses import replace

import pytest

from service.scoreboard import BEAT, PHASE, Phase, Scoreboard
from service.telemetry.metrics import Metrics
from service.telemetry.record import OK
from service.telemetry.states import ServiceState
from tests.e2e.server import Metrics as Scrape
from tests.service.scoreboards import scoreboards

MEMORY, STARTED, CPU = (
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
)


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Scoreboard]:
    return scoreboards(2, monkeypatch)


@pytest.fixture
def workers(boards: list[Scoreboard], state: ServiceState) -> list[Metrics]:
    return [Metrics(lambda: state, board) for board in boards]


def scrape(worker: Metrics) -> Scrape:
    return Scrape.parse(worker.render()[0].decode())


def test_both_tell_the_same(workers: list[Metrics]) -> None:
    one, other = workers
    for metrics, times in ((one, 3), (other, 2)):
        for _ in range(times):
            metrics.request("/v1/detect", "detector", 200, OK, 0.25)
            metrics.image("detector", OK, {"decode": 0.003})
            metrics.batch("detector", 2)
    other.request("/v1/detect", "detector", 503, "overloaded", 0.25)
    one.publish()
    other.publish()
    found = [scrape(metrics).samples for metrics in workers]
    mine = [{k: v for k, v in one.items() if k[0].startswith("boxport_")} for one in found]
    assert mine[0] == mine[1]
    told = scrape(one)
    assert told.get("boxport_requests_total", reason=OK) == 5
    assert told.get("boxport_requests_total", reason="overloaded", status="503") == 1
    assert told.get("boxport_request_seconds_count", route="/v1/detect") == 6
    assert told.get("boxport_request_seconds_sum", route="/v1/detect") == 1.5
    assert told.get("boxport_stage_seconds_bucket", stage="decode", le="0.005") == 5
    assert told.get("boxport_batch_size_sum", model="detector") == 10
    assert told.get("boxport_sessions", model="detector") == 4
    assert told.get("boxport_requests_in_flight") == 4
    assert told.get("boxport_queue_images", model="detector") == 14


def test_what_one_loads_or_forgets_is_told_by_both(
    boards: list[Scoreboard], state: ServiceState
) -> None:
    now = state
    one, other = (Metrics(lambda: now, board) for board in boards)
    one.publish()
    other.publish()
    now = replace(state, models=state.models[:2])
    one.publish()
    assert scrape(other).get("boxport_sessions", model="classifier") == 0
    loaded = scrape(one).get("boxport_model_info", model="classifier")
    assert loaded == 0, "the scrape of the other has published that it is not there"


def test_one_that_has_died_is_counted_and_holds_nothing(
    boards: list[Scoreboard], workers: list[Metrics], state: ServiceState
) -> None:
    one, other = workers
    one.request("/v1/detect", "detector", 200, OK, 0.25)
    one.publish()
    other.publish()
    processors = scrape(other).get(CPU)
    assert scrape(other).get("boxport_requests_in_flight") == 4
    boards[1].clear(boards[0].own)
    told = scrape(other)
    assert told.get("boxport_requests_total", reason=OK) == 1
    assert told.get("boxport_requests_in_flight") == 2
    assert told.get(CPU) >= processors
    boards[0].enter()
    next_one = Metrics(lambda: state, boards[0])
    next_one.request("/v1/detect", "detector", 200, OK, 0.25)
    told = scrape(next_one)
    assert told.get("boxport_requests_total", reason=OK) == 2
    assert told.get(CPU) >= processors


def test_processes_are_added_up(workers: list[Metrics]) -> None:
    one, other = workers
    alone = scrape(one)
    other.publish()
    both = scrape(one)
    assert 1.5 < both.get(MEMORY) / alone.get(MEMORY) < 2.5
    assert both.get(STARTED) == alone.get(STARTED), "both are this process"


def test_workers_that_are_ready_are_counted(
    boards: list[Scoreboard], workers: list[Metrics]
) -> None:
    boards[1].own[PHASE], boards[1].own[BEAT] = Phase.READY, 1.0
    assert scrape(workers[0]).get("boxport_workers") == 1
