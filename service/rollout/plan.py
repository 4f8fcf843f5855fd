"""What an operator asks for: that a version is tried on live traffic, and how.

    waiting ──► running ──► promoted    the name means it
                   ├──────► taken_back  by itself: past a bound, or its process ended
                   └──────► aborted     by an operator

Whatever comes of it, a version that has been on trial and is not promoted is never what the bare
name means.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Mode = Literal["shadow", "canary"]
Phase = Literal["waiting", "running", "promoted", "taken_back", "aborted"]
Cause = Literal["errors", "latency", "disagreement", "process"]
ENDED: frozenset[Phase] = frozenset({"promoted", "taken_back", "aborted"})

ShareOfRequests = Annotated[float, Field(gt=0, le=1)]
Sticky = Annotated[str, StringConstraints(pattern=r"^header [!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
COMPARED = 0.1  # the least share of requests whose answers are compared, unless it is given


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shadow(_Part):
    """A share of the requests is run by the version too, after their replies; nobody sees it."""

    share: ShareOfRequests = Field(description="Of the requests to the model's bare name.")


class Guard(_Part):
    """When a canary goes back by itself: once the whole 95 % interval of a figure lies beyond its
    bound."""

    errors: float = Field(
        0.01, ge=0, le=1, description="Share of its requests that only the other version answered."
    )
    p99_ratio: float | None = Field(
        2.0, gt=0, description="p99 of its latency, as a multiple of the other version's."
    )
    p99_ms: float | None = Field(None, gt=0, description="p99 of its latency in milliseconds.")
    disagreement: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of what is compared that differs: detections without a match, photos"
        " with another best class.",
    )
    min_samples: int = Field(
        20, ge=1, description="Requests, or compared photos, before a figure counts; 3 for errors."
    )


class Canary(_Part):
    """A share of the requests is answered by the version."""

    share: ShareOfRequests | None = Field(
        None, description="Of the requests to the model's bare name, until it is promoted."
    )
    schedule: tuple[ShareOfRequests, ...] = Field(
        (), description="Shares one after the other, in place of `share`; then it is promoted."
    )
    step_seconds: float = Field(600, gt=0, description="How long each share of a schedule lasts.")
    sticky: Sticky | None = Field(
        None,
        description="`header X-User`: the header whose value decides which version answers, so that"
        " each user has one. Without it, or the header, the request's id does.",
    )
    compare: ShareOfRequests | None = Field(
        None,
        description="Share of the other requests that it runs too, to be compared. Default: its"
        f" share, and {COMPARED} at the least.",
    )
    guard: Guard = Guard()

    @model_validator(mode="after")
    def _has_shares(self) -> "Canary":
        if (self.share is None) == (not self.schedule):
            raise ValueError("give share or schedule, and not both")
        if list(self.schedule) != sorted(set(self.schedule)):
            raise ValueError("the shares of a schedule must rise")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        return self.schedule or (self.share or 0.0,)


class Plan(_Part):
    """A version, and how it is tried; the file of rollouts has one for each model."""

    version: str
    shadow: Shadow | None = None
    canary: Canary | None = None

    @model_validator(mode="after")
    def _has_one_mode(self) -> "Plan":
        if (self.shadow is None) == (self.canary is None):
            raise ValueError("give shadow or canary, and not both")
        return self

    @property
    def mode(self) -> Mode:
        return "canary" if self.canary else "shadow"


class Progress(_Part):
    """How far a rollout has come.

    step: which share of the schedule, from 0; ``since`` then.
    reason, cause: of one that was taken back.
    withheld: versions of trials before that were not promoted.
    """

    phase: Phase = "running"
    step: int = 0
    started: datetime
    since: datetime
    reason: str | None = None
    cause: Cause | None = None
    withheld: tuple[str, ...] = ()


class Record(Plan):
    """A plan, and how far it has come; None before the service has begun it."""

    state: Progress | None = None

    @property
    def plan(self) -> Plan:
        return Plan(version=self.version, shadow=self.shadow, canary=self.canary)

    @property
    def is_over(self) -> bool:
        return self.state is not None and self.state.phase in ENDED

    @property
    def share(self) -> float:
        """Of the requests that the version runs: for their callers, or after them."""
        if self.canary is None:
            return self.shadow.share if self.shadow else 0.0
        shares = self.canary.shares
        return shares[min(self.state.step if self.state else 0, len(shares) - 1)]

    @property
    def compared_share(self) -> float:
        """Of the requests that the other version answers, those that this one runs too."""
        if self.canary is None:
            return self.share
        return self.canary.compare or max(self.share, COMPARED)

    @property
    def withheld(self) -> tuple[str, ...]:
        """The versions that the bare name does not mean."""
        before = self.state.withheld if self.state else ()
        is_promoted = self.state is not None and self.state.phase == "promoted"
        return before if is_promoted else (*before, self.version)

    def begun(self, before: "Record | None") -> "Record":
        """From now on running, in place of ``before``."""
        now = datetime.now(UTC)
        withheld = tuple(v for v in (before.withheld if before else ()) if v != self.version)
        state = Progress(started=now, since=now, withheld=withheld)
        return self.model_copy(update={"state": state})

    def moved(self, **changes: object) -> "Record":
        """In another step or phase from now on; only of one that has begun."""
        assert self.state is not None
        state = self.state.model_copy(update={"since": datetime.now(UTC), **changes})
        return self.model_copy(update={"state": state})
