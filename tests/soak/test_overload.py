"""Three times as much work as the service can do: it does what it can, and refuses the rest at
once."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.load import Plan
from benchmarks.load_process import run_load
from benchmarks.results import quantile
from tests.e2e.server import running_server
from tests.soak.loads import per_second, photo_requests, port_of
from tests.soak.processes import watched_memory
from tests.soak.results import length, milliseconds, record

SECONDS = length("OVERLOAD_SECONDS", 60)
DEADLINE = 2.0
TIMES = 3  # as much as the service can do
REFUSED = (429, 503)


@pytest.mark.soak
@pytest.mark.parametrize("path", ["/v1/detect", "/v1/classify"])
def test_overload_costs_only_what_is_too_much(path: str, tmp_path: Path, photos: Path) -> None:
    """The load generator shares the processors with the server, and latencies are seen from its
    side: from the sending, a new connection's handshake included, to the last byte of the reply."""
    patient = photo_requests(photos, path)
    hasty = photo_requests(photos, path, **{"X-Request-Timeout-Ms": f"{DEADLINE * 1000:.0f}"})
    with running_server(tmp_path, access_log_sample=0.01) as server:
        port = port_of(server)
        run_load(Plan(port, patient, SECONDS / 6), tmp_path)  # to warm up
        capacity = per_second(run_load(Plan(port, patient, SECONDS / 2), tmp_path))
        with watched_memory(server) as memory:
            outcomes = run_load(Plan(port, hasty, SECONDS, rate=TIMES * capacity), tmp_path)
    refusals = [outcome.latency for outcome in outcomes if outcome.status in REFUSED]
    accepted = [outcome for outcome in outcomes if outcome.status not in REFUSED]
    good = [o for o in accepted if o.status == 200 and o.latency <= DEADLINE]
    goodput = len(good) / max(outcome.ended for outcome in good) / capacity
    record(
        f"overload {path}",
        seconds=SECONDS,
        capacity_per_second=round(capacity, 1),
        goodput=round(goodput, 3),
        statuses=Counter(outcome.status for outcome in outcomes),
        accepted_ms=milliseconds([outcome.latency for outcome in accepted]),
        refused_ms=milliseconds(refusals),
        sent_late_ms=milliseconds([outcome.late for outcome in outcomes]),
        memory_growth=round(memory.growth(0.2), 4),
        memory_mb=round(memory.samples[-1][1] / 1e6),
    )
    assert {outcome.status for outcome in outcomes} <= {200, *REFUSED, 504}
    assert goodput >= 0.9
    assert quantile([outcome.latency for outcome in accepted], 0.99) < DEADLINE
    assert quantile(refusals or [0.0], 0.99) < 0.05
    assert memory.growth(0.2) < 0.05
