"""What is known of a rollout, as the HTTP API shows it."""

from datetime import datetime

from pydantic import BaseModel, Field

from service.inference.model import LoadedModel
from service.rollout.plan import Cause, Mode, Phase
from service.rollout.rollout import Rollout
from service.rollout.statistics import Array, Estimate, Side, mean, quantile, ratio, wilson
from service.telemetry.states import RolloutState


class Interval(BaseModel):
    """A figure, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, estimate: Estimate | None, scale: float = 1.0) -> "Interval | None":
        if estimate is None:
            return None
        values = (estimate.value, estimate.low, estimate.high)
        value, low, high = (round(scale * one, 6) for one in values)
        return cls(value=value, low=low, high=high)


class VersionFigures(BaseModel):
    """How one of the two versions does. Latencies are of the requests that it was to answer, by the
    canary's choice; inference is of the photos that both ran."""

    version: str
    requests: int = Field(ge=0, description="That it was to answer.")
    errors: Interval | None = Field(
        None, description="Share of these that failed; the candidate's, the other version answered."
    )
    p50_ms: float | None = Field(None, description="Of its answers, to 8 %.")
    p99_ms: float | None = Field(None, description="Of its answers, to 8 %.")
    inference_ms: Interval | None = Field(None, description="Mean of a photo's batch.")
    memory_bytes: int | None = Field(
        None, description="Of its process, if it has its own; else an estimate of its sessions."
    )


class RolloutSummary(BaseModel):
    """A version that is, or was, tried on live traffic."""

    mode: Mode
    phase: Phase = Field(
        description="waiting: not loaded yet. running. promoted: the name means it. taken_back: by"
        " itself, `reason` says why. aborted: by an operator."
    )
    share: float = Field(ge=0, le=1, description="Of the requests to the model's bare name.")
    reason: str | None = Field(None, description="Why it was taken back.")
    compared: int = Field(ge=0, description="Photos that both versions ran.")
    agreement: Interval | None = Field(
        None,
        description="Share of both versions' detections that are matched: the same label, an IoU of"
        " .5 or more. Of a classifier: share of photos with the same best class.",
    )


class RolloutReport(RolloutSummary):
    """A rollout in full. Counts are the service's, since it
    started or the packages changed."""

    model: str
    version: str
    cause: Cause | None = Field(None, description="What kind of reason it was.")
    sticky: str | None = Field(None, description="What decides who answers; else the request's id.")
    started: datetime | None = None
    since: datetime | None = Field(None, description="Of this share, or phase.")
    dropped: int = Field(ge=0, description="Copies that were not run, for want of room.")
    failed: int = Field(ge=0, description="Copies that the candidate failed on.")
    label_changes: Interval | None = Field(
        None, description="Share of boxes found by both whose label differs, or of best classes."
    )
    score_difference: Interval | None = Field(
        None, description="Mean absolute difference of matched scores."
    )
    candidate: VersionFigures
    baseline: VersionFigures | None = None


def summarise(rollout: Rollout) -> RolloutSummary:
    """What `GET /v1/models` says of a version on trial."""
    state, tally = rollout.record.state, rollout.total
    return RolloutSummary(
        mode=rollout.record.mode,
        phase=phase_of(rollout),
        share=rollout.share,
        reason=state.reason if state else None,
        compared=int(tally.photos[0]),
        agreement=Interval.of(ratio(tally.agreement)),
    )


def report(rollout: Rollout) -> RolloutReport:
    """All that is known."""
    state, tally = rollout.record.state, rollout.total
    name, version = rollout.reference
    baseline = rollout.baseline
    canary = rollout.record.canary
    return RolloutReport(
        **summarise(rollout).model_dump(),
        model=name,
        version=version,
        cause=state.cause if state else None,
        sticky=canary.sticky if canary else None,
        started=state.started if state else None,
        since=state.since if state else None,
        dropped=int(tally.photos[1]),
        failed=int(tally.photos[2]),
        label_changes=Interval.of(ratio(tally.relabelled)),
        score_difference=Interval.of(mean(tally.scores)),
        candidate=_figures(version, tally.candidate, rollout.candidate),
        baseline=baseline and _figures(baseline.reference[1], tally.baseline, baseline.model),
    )


def phase_of(rollout: Rollout) -> Phase:
    if rollout.phase == "running" and rollout.candidate is None:
        return "waiting"
    return rollout.phase


def _figures(version: str, side: Side, model: LoadedModel | None) -> VersionFigures:
    requests, failed = side.answers
    return VersionFigures(
        version=version,
        requests=int(requests),
        errors=Interval.of(wilson(failed, requests)),
        p50_ms=_milliseconds(side.latencies, 0.5),
        p99_ms=_milliseconds(side.latencies, 0.99),
        inference_ms=Interval.of(mean(side.runs), 1000),
        memory_bytes=memory_of(model),
    )


def memory_of(model: LoadedModel | None) -> int | None:
    """Bytes that a version takes; None while it is not loaded."""
    if model is None:
        return None
    return model.session_bytes if model.process is None else model.process.memory_bytes


def _milliseconds(latencies: Array, share: float) -> float | None:
    seconds = quantile(latencies, share)
    return None if seconds is None else round(seconds * 1000, 3)


def dump(shown: BaseModel) -> dict[str, object]:
    """As JSON has it, without what is not known."""
    return shown.model_dump(mode="json", exclude_none=True)


def state_of(rollout: Rollout) -> RolloutState:
    """For Prometheus."""
    full, tally = report(rollout), rollout.total
    compared, dropped, failed = tally.photos
    requests, errors = tally.candidate.answers
    sides = [side for side in (full.candidate, full.baseline) if side is not None]
    return RolloutState(
        full.model,
        full.version,
        full.mode,
        full.phase,
        full.share if full.phase == "running" else 0.0,
        {"compared": compared, "dropped": dropped, "failed": failed},
        {"answered": requests - errors, "failed": errors},
        full.agreement.model_dump() if full.agreement else {},
        {side.version: side.p99_ms / 1000 for side in sides if side.p99_ms is not None},
        {side.version: side.memory_bytes for side in sides if side.memory_bytes is not None},
    )
