"""Putting a server under load, and what that shows."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.bystanders import Watch
from benchmarks.firing import fire
from benchmarks.load import Outcome, Plan, Shot
from benchmarks.results import quantile
from benchmarks.server import Server, ServerError

WARM_UP_SHARE = 0.2  # of the seconds of a load, with another before it
MOST_FAILED = 0.01  # of the requests


def drive(
    server: Server,
    shots: Sequence[Shot],
    folder: Path,
    seconds: float,
    connections: int = 16,
    rate: float | None = None,
    *,
    warm_up: bool = True,
) -> dict[str, float]:
    """Figures of a load of ``seconds``, closed with so many connections, or open with ``rate``
    requests a second.

    per_second: answers. p50_ms, p99_ms: from when a request was due, which in a closed loop is when
    it was sent. cpu_ms: of all the server's processes, for each request; loop_ms: of their main
    threads alone. others: see `Watch.others`.

    Raises ServerError if more than `MOST_FAILED` of the requests were not answered.
    """
    plan = Plan(server.port, list(shots), seconds, rate=rate, connections=connections)
    if warm_up:
        fire(replace(plan, seconds=WARM_UP_SHARE * seconds), folder)
    watch, before = Watch(), server.usage()
    outcomes = fire(plan, folder)
    after = server.usage()
    used = after.cpu_seconds - before.cpu_seconds
    others = watch.others(used)
    answered = [outcome for outcome in outcomes if outcome.status == 200]
    _check(server, outcomes, answered)
    figures = summarise(answered)
    figures["cpu_ms"] = used / len(answered) * 1e3
    figures["loop_ms"] = (after.loop_seconds - before.loop_seconds) / len(answered) * 1e3
    figures["others"] = others
    return figures


def summarise(answered: Sequence[Outcome]) -> dict[str, float]:
    """Of all answers, to the last: a server that holds many large photos at once gives theirs in
    bursts, of which a time cut out of the load has one more or less."""
    latencies = [outcome.late + outcome.latency for outcome in answered]
    return {
        "per_second": len(answered) / max(outcome.ended for outcome in answered),
        "p50_ms": quantile(latencies, 0.5) * 1e3,
        "p99_ms": quantile(latencies, 0.99) * 1e3,
    }


def settle(server: Server, seconds: float = 2.0, least: float = 0.05) -> None:
    """Wait until the server has nothing to do, or so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = server.usage().cpu_seconds
        time.sleep(0.2)
        if server.usage().cpu_seconds - before <= least * 0.2:
            return


def _check(server: Server, outcomes: Sequence[Outcome], answered: Sequence[Outcome]) -> None:
    failed = len(outcomes) - len(answered)
    if not answered or failed > MOST_FAILED * len(outcomes):
        first = next(outcome for outcome in outcomes if outcome.status != 200)
        raise ServerError(
            f"{server.name}: {failed} of {len(outcomes)} requests were not answered; the first got"
            f" {first.status or first.error}"
        )
