"""What the service says of a version that is tried on live traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A figure, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Rollout:
    """A version on trial.

    mode: "shadow" or "canary".
    phase: "waiting" to be loaded, "running", "promoted", "taken_back" by itself, or "aborted".
    share: 0..1 of the requests to the model's bare name.
    reason: why it was taken back; "" else.
    compared: photos that both versions ran.
    agreement: share of detections, or of best classes, that agree; None before any was compared.
    report: everything the service says, as in ``GET /v1/models/{name}/{version}/shadow``.
    """

    model: str
    version: str
    mode: str
    phase: str
    share: float
    reason: str
    compared: int
    agreement: Interval | None
    report: Mapping[str, Any]

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> Rollout:
        agreement = report.get("agreement")
        return cls(
            report["model"],
            report["version"],
            report["mode"],
            report["phase"],
            report["share"],
            report.get("reason", ""),
            report["compared"],
            None if agreement is None else Interval(**agreement),
            report,
        )


def canary_order(
    share: float | None,
    schedule: Sequence[float] | None,
    step_seconds: float | None,
    sticky: str | None,
    compare: float | None,
    guard: Mapping[str, float | None] | None,
) -> dict[str, Any]:
    """The body of a request for a canary. Raises ValueError unless one of the first two is given.

    The arguments are those of `Models.canary`.
    """
    if (share is None) == (not schedule):
        raise ValueError("give share or schedule, and not both")
    order = {
        "share": share,
        "schedule": list(schedule) if schedule else None,
        "step_seconds": step_seconds,
        "sticky": sticky,
        "compare": compare,
        "guard": dict(guard) if guard else None,
    }
    return {name: value for name, value in order.items() if value is not None}
