"""When a canary goes back: at what is surely beyond a bound, and not before."""

import pytest

from service.rollout.guard import judge
from service.rollout.plan import Guard
from service.rollout.statistics import Tally, clusters

GUARD = Guard()


def tally(
    *,
    answered: int = 0,
    failed: int = 0,
    seconds: float = 0.02,
    usual: float = 0.02,
    agreeing: int = 0,
    differing: int = 0,
) -> Tally:
    made = Tally()
    for i in range(answered + failed):
        made.candidate.note_answer(seconds, failed=i < failed)
    for _ in range(200):
        made.baseline.note_answer(usual)
    for i in range(agreeing + differing):
        made.agreement += clusters(int(i < agreeing), 1)
    return made


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({}, None),
        ({"answered": 500, "agreeing": 500}, None),
        ({"failed": 2}, None),
        ({"failed": 3}, "errors"),
        ({"answered": 1000, "failed": 10}, None),
        ({"answered": 1000, "failed": 30}, "errors"),
        ({"answered": 19, "seconds": 1.0}, None),
        ({"answered": 20, "seconds": 1.0}, "latency"),
        ({"answered": 1000, "seconds": 0.035}, None),
        ({"answered": 1000, "seconds": 0.045}, "latency"),
        ({"differing": 19}, None),
        ({"differing": 20}, "disagreement"),
        ({"agreeing": 96, "differing": 4}, None),
        ({"agreeing": 92, "differing": 8}, None),
        ({"agreeing": 900, "differing": 100}, "disagreement"),
    ],
)
def test_bounds(given: dict, cause: str | None) -> None:
    verdict = judge(tally(**given), GUARD)
    assert (verdict and verdict.cause) == cause


def test_reasons_say_figures_and_bounds() -> None:
    reasons = [
        judge(tally(**given), Guard(p99_ms=100))
        for given in ({"failed": 5}, {"answered": 50, "seconds": 1.0}, {"differing": 50})
    ]
    errors, latency, disagreement = (verdict.reason for verdict in reasons if verdict)
    assert errors == ("5 of 5 requests failed (95 % interval 56.6% to 100.0%); at most 1.0% may")
    assert "2 times the other version's" in latency
    assert disagreement.startswith("100.0% of the answers differ from the other version's")
    assert disagreement.endswith("at most 5.0% may")


def test_a_bound_of_its_own_in_milliseconds() -> None:
    guard = Guard(p99_ratio=None, p99_ms=100)
    assert judge(tally(answered=100, seconds=0.09), guard) is None
    verdict = judge(tally(answered=100, seconds=0.2), guard)
    assert verdict is not None
    assert verdict.reason == "p99 is about 204 ms, above 100 ms, the bound"
