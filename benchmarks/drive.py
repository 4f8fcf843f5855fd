"""Puts a server under load and returns its figures."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.background_load import BackgroundLoad
from benchmarks.load import Outcome, Plan, Request
from benchmarks.load_process import run_load
from benchmarks.results import quantile
from benchmarks.server import Server, ServerError

WARM_UP_SHARE = 0.2  # of the seconds of a load, spent before it
MAX_FAILED_SHARE = 0.01  # of the requests


def drive(
    server: Server,
    requests: Sequence[Request],
    folder: Path,
    seconds: float,
    connections: int = 16,
    rate: float | None = None,
    *,
    warm_up: bool = True,
) -> dict[str, float]:
    """Figures of a load of ``seconds``: a closed loop of ``connections``, or, if ``rate`` is given,
    an open loop of so many requests a second.

    per_second: answers. p50_ms, p99_ms: latency from when a request was due, which in a closed loop
    is when it was sent. cpu_ms: processor time of all the server's processes, for each request;
    loop_ms: of their main threads alone. background_load: see `BackgroundLoad.share`.

    Raises ServerError if more than `MAX_FAILED_SHARE` of the requests were not answered.
    """
    plan = Plan(server.port, list(requests), seconds, rate=rate, connections=connections)
    if warm_up:
        run_load(replace(plan, seconds=WARM_UP_SHARE * seconds), folder)
    background, before = BackgroundLoad(), server.usage()
    outcomes = run_load(plan, folder)
    after = server.usage()
    used = after.cpu_seconds - before.cpu_seconds
    background_share = background.share(used)
    answered = [outcome for outcome in outcomes if outcome.status == 200]
    _check(server, outcomes, answered)
    figures = summarise(answered)
    figures["cpu_ms"] = used / len(answered) * 1e3
    figures["loop_ms"] = (after.loop_seconds - before.loop_seconds) / len(answered) * 1e3
    figures["background_load"] = background_share
    return figures


def summarise(answered: Sequence[Outcome]) -> dict[str, float]:
    """Throughput and latencies over all answers, the last included: a server that works on many
    large photos at once answers in bursts, and a window within the load would count one burst too
    many or too few."""
    latencies = [outcome.late + outcome.latency for outcome in answered]
    return {
        "per_second": len(answered) / max(outcome.ended for outcome in answered),
        "p50_ms": quantile(latencies, 0.5) * 1e3,
        "p99_ms": quantile(latencies, 0.99) * 1e3,
    }


def settle(server: Server, seconds: float = 2.0, least: float = 0.05) -> None:
    """Wait until the server is idle, at most ``seconds``; ``least``: the processors that count as
    idle."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = server.usage().cpu_seconds
        time.sleep(0.2)
        if server.usage().cpu_seconds - before <= least * 0.2:
            return


def _check(server: Server, outcomes: Sequence[Outcome], answered: Sequence[Outcome]) -> None:
    failed = len(outcomes) - len(answered)
    if not answered or failed > MAX_FAILED_SHARE * len(outcomes):
        first = next(outcome for outcome in outcomes if outcome.status != 200)
        raise ServerError(
            f"{server.name}: {failed} of {len(outcomes)} requests were not answered; the first got"
            f" {first.status or first.error}"
        )
