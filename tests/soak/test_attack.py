"""Attackers of every kind beside callers with a key: these are served as if there were none."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from benchmarks.load import Outcome, Plan
from benchmarks.load_process import run_load
from service.access.key_file import add_entry
from service.access.keys import new_key
from tests.e2e.server import Server, running_server
from tests.paths import ROOT
from tests.soak.attackers import write_bodies
from tests.soak.loads import per_second, photo_requests, port_of
from tests.soak.processes import resident_bytes, watched_memory, workers
from tests.soak.results import length, milliseconds, record

SECONDS = length("ATTACK_SECONDS", 1200)
PHASES = 10  # of peace and of attack, in turn
WARM_UP = 3  # of these, in which what is kept for the next request comes to be
LOAD = 0.5  # of the capacity, that callers ask for
DEADLINE = 2.0  # seconds
STOLEN_RATES = {"bodies": 0.1, "bombs": 4.0}  # requests a second of stolen keys
STOP_SECONDS = 30


class Attackers:
    """replies: what the attackers of the phases that are over have read, by kind and status."""

    def __init__(self, server: Server, keys: list[str], folder: Path) -> None:
        file, port = folder / "bodies.json", str(port_of(server))
        write_bodies(file)
        self._command = [sys.executable, "-m", "tests.soak.attackers", port, *keys, str(file)]
        self.replies: Counter[str] = Counter()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=STOP_SECONDS)
        self.replies.update(json.loads(output))


def good(outcomes: list[Outcome], seconds: float) -> float:
    """Answers within the deadline, a second."""
    return sum(o.status == 200 and o.latency <= DEADLINE for o in outcomes) / seconds


@pytest.mark.soak
def test_callers_are_served_beside_attackers(tmp_path: Path, photos: Path) -> None:
    keys = tmp_path / "keys.json"
    paying, entry = new_key("paying", ["infer"])
    add_entry(keys, entry)
    stolen = []
    for name, rate in STOLEN_RATES.items():
        key, entry = new_key(name, ["infer"], rate=rate)
        add_entry(keys, entry)
        stolen.append(key)
    seconds = SECONDS / (2 * PHASES)
    goodput: dict[bool, list[float]] = {False: [], True: []}
    outcomes: dict[bool, list[Outcome]] = {False: [], True: []}
    requests = photo_requests(photos, "/v1/classify", **{"X-API-Key": paying})
    with running_server(tmp_path, keys_file=keys, access_log_sample=0.01) as server:
        port, pids = port_of(server), [worker.pid for worker in workers(server)]
        attackers, resting = Attackers(server, stolen, tmp_path), []
        capacity = per_second(run_load(Plan(port, requests, 10), tmp_path))
        plan = Plan(port, requests, seconds, rate=LOAD * capacity)
        with watched_memory(server) as memory:
            for phase in range(2 * PHASES):
                if attacked := bool(phase % 2):
                    with attackers.at_work():
                        found = run_load(plan, tmp_path)
                else:
                    found = run_load(plan, tmp_path)
                    resting.append(resident_bytes(server))
                goodput[attacked].append(good(found, seconds))
                outcomes[attacked] += found
        same = [worker.pid for worker in workers(server)] == pids
        log = server.log.read_text()
    ratios = [there / without for without, there in zip(*goodput.values(), strict=True)]
    growth = median(resting[-3:]) / median(resting[WARM_UP : WARM_UP + 3]) - 1
    record(
        "attack",
        seconds=SECONDS,
        capacity_per_second=round(capacity, 1),
        goodput=round(median(ratios), 3),
        ratios=[round(ratio, 3) for ratio in ratios],
        without_ms=milliseconds([o.latency for o in outcomes[False]]),
        beside_ms=milliseconds([o.latency for o in outcomes[True]]),
        callers={str(key): Counter(o.status for o in found) for key, found in outcomes.items()},
        attackers=attackers.replies,
        memory_growth=round(growth, 4),
        memory_mb=[round(one / 1e6) for one in resting],
        memory_peak_mb=round(max(one for _, one in memory.samples) / 1e6),
    )
    assert median(ratios) >= 0.9
    statuses = {int(kind.rsplit(" ", 1)[1]) for kind in attackers.replies}
    assert all(status < 500 or status == 503 for status in statuses)
    assert growth < 0.02
    assert same
    assert "Traceback" not in log
