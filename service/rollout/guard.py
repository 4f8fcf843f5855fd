"""When a canary goes back by itself."""

from typing import NamedTuple

from service.rollout.plan import Cause, Guard
from service.rollout.statistics import Estimate, Tally, quantile, ratio, slower, wilson

MIN_ERRORS = 3  # below which they may be chance, or of requests that no version could answer
SLOWEST = 0.01  # the share of requests beyond p99


class Verdict(NamedTuple):
    """Why a canary goes back."""

    cause: Cause
    reason: str


def judge(tally: Tally, guard: Guard) -> Verdict | None:
    """The first of the ``guard``'s bounds that ``tally`` is surely beyond, if it is beyond any."""
    return _errors(tally, guard) or _latency(tally, guard) or _disagreement(tally, guard)


def _errors(tally: Tally, guard: Guard) -> Verdict | None:
    requests, failed = tally.candidate.answers
    share = wilson(failed, requests)
    if share is None or failed < MIN_ERRORS or share.low <= guard.errors:
        return None
    said = f"{failed:.0f} of {requests:.0f} requests failed"
    return Verdict("errors", f"{said}{_interval(share)}; at most {guard.errors:.1%} may")


def _latency(tally: Tally, guard: Guard) -> Verdict | None:
    own, other = tally.candidate.latencies, tally.baseline.latencies
    if own.sum() < guard.min_samples:
        return None
    limits = []
    usual = quantile(other, 1 - SLOWEST)
    if guard.p99_ratio is not None and usual is not None and other.sum() >= guard.min_samples:
        limits.append((guard.p99_ratio * usual, f"{guard.p99_ratio:g} times the other version's"))
    if guard.p99_ms is not None:
        limits.append((guard.p99_ms / 1000, "the bound"))
    for seconds, said in limits:
        share = slower(own, seconds)
        if share is not None and share.low > SLOWEST:
            p99 = quantile(own, 1 - SLOWEST) or 0.0
            reason = f"p99 is about {p99 * 1000:.0f} ms, above {seconds * 1000:.0f} ms, {said}"
            return Verdict("latency", reason)
    return None


def _disagreement(tally: Tally, guard: Guard) -> Verdict | None:
    agreed = ratio(tally.agreement)
    if agreed is None or tally.agreement[0] < guard.min_samples:
        return None
    differs = Estimate(1 - agreed.value, 1 - agreed.high, 1 - agreed.low)
    if differs.low <= guard.disagreement:
        return None
    said = f"{differs.value:.1%} of the answers differ from the other version's"
    bound = f"; at most {guard.disagreement:.1%} may"
    return Verdict("disagreement", f"{said}{_interval(differs)}{bound}")


def _interval(share: Estimate) -> str:
    return f" (95 % interval {share.low:.1%} to {share.high:.1%})"
