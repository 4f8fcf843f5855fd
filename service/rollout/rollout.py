"""One model's rollout, in this worker."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from service.imaging.resize import ModelInput
from service.inference.model import LoadedModel
from service.repository.store import Reference
from service.repository.version import ModelVersion
from service.rollout.plan import Phase, Record
from service.rollout.shared import SharedTallies
from service.rollout.statistics import Tally

# A caller waits for the candidate so many times as long as for the other version, and these
# seconds, before the other answers.
PATIENCE_FACTOR, PATIENCE_SECONDS = 8, 0.5


@dataclass(frozen=True)
class RequestKey:
    """What decides which version answers a request. ``headers``: their names in lower case."""

    request_id: str
    headers: Mapping[str, str]

    def value(self, sticky: str | None) -> str:
        """Of the header that ``sticky`` names, else the request's id."""
        name = sticky.removeprefix("header ").lower() if sticky else ""
        return self.headers.get(name) or self.request_id


class Rollout:
    """shared: where what is seen is counted.
    fault: why the candidate cannot be tried any longer.
    is_settled: whether the repository has done what the end of it asks for.
    baseline, candidate: as they were when they were last asked for.
    """

    def __init__(
        self, name: str, record: Record, shared: SharedTallies, before: Record | None = None
    ) -> None:
        self.record, self._shared, self._before = record, shared, before
        self.reference: Reference = (name, record.version)
        self.fault: str | None = None
        self.is_settled = False
        self.baseline: ModelVersion | None = None
        self.candidate: LoadedModel | None = None
        self._packages: tuple[str, str] | None = None
        self._failed_at = -math.inf  # by time.monotonic, the last time

    def updated(self, record: Record) -> "Rollout":
        """This one with ``record``, or another one if that is of another trial."""
        if record == self.record:
            return self
        began = self.record.state.started if self.record.state else None
        same = record.plan == self.record.plan and record.state and record.state.started == began
        if not same:
            return Rollout(self.reference[0], record, self._shared, before=self.record)
        if record.is_over:
            self.is_settled = False
        self.record = record
        return self

    def begin(self, found: Record | None) -> Record | None:
        """``found`` running, if it is this one's and has not begun yet: its plan was written into
        the file."""
        return found.begun(self._before) if found == self.record else found

    @property
    def name(self) -> str:
        """Of its version, as name/version."""
        return "/".join(self.reference)

    @property
    def tally(self) -> Tally:
        """Of what this worker has seen, of the very packages that serve now."""
        return self._shared.own(self.reference[0], self._trial)

    @property
    def total(self) -> Tally:
        """Of all workers."""
        return self._shared.total(self.reference[0], self._trial)

    @property
    def _trial(self) -> str:
        """What the trials of all workers share whose tallies may be added up."""
        started = self.record.state.started.isoformat() if self.record.state else ""
        return " ".join([self.name, started, *(self._packages or ())])

    @property
    def phase(self) -> Phase:
        return self.record.state.phase if self.record.state else "running"

    @property
    def share(self) -> float:
        """Of the requests that the candidate runs now."""
        return {"running": self.record.share, "promoted": 1.0}.get(self.phase, 0.0)

    @property
    def step(self) -> int:
        return self.record.state.step if self.record.state else 0

    @property
    def is_due(self) -> bool:
        """Whether the next share of a schedule is: after its time, and enough requests."""
        canary, state = self.record.canary, self.record.state
        if canary is None or not canary.schedule or state is None:
            return False
        waited = (datetime.now(UTC) - state.since).total_seconds()
        return (
            waited >= canary.step_seconds
            and self.total.candidate.answers[0] >= canary.guard.min_samples
        )

    def meet(self, baseline: ModelVersion, candidate: ModelVersion | None) -> bool:
        """Note the versions as they are now; gives whether the candidate can be tried."""
        self.baseline = baseline
        self.check(candidate)
        model = self.candidate
        if model is None or model.trial != self.record.mode or baseline.manifest is None:
            return False
        # what was counted of another package is forgotten
        self._packages = (baseline.manifest.sha256, model.manifest.sha256)
        return self.fault is None

    def check(self, candidate: ModelVersion | None) -> None:
        """Note what the candidate is now, and whether its process has ended."""
        self.candidate = model = candidate.model if candidate else None
        if model is not None and model.process is not None and model.process.fault is not None:
            self.fault = model.process.fault

    def chooses(self, key: RequestKey, contents: Sequence[object]) -> bool:
        """Whether the candidate answers a request of ``key``: so long as it does not hang."""
        canary, model = self.record.canary, self.candidate
        if canary is None or model is None:
            return False
        is_in = self._fraction("canary", key.value(canary.sticky)) < self.record.share
        # a run that a caller has given up on, or soon will
        hangs = model.longest_run > min(self.patience(1), time.monotonic() - self._failed_at)
        return is_in and not hangs and self._takes(contents)

    def compares(self, key: RequestKey, contents: Sequence[object]) -> bool:
        """Whether a request that the baseline has answered is run by the candidate too."""
        is_in = self._fraction("compare", key.request_id) < self.record.compared_share
        return is_in and self._takes(contents)

    def note(self, seconds: float, *, chosen: bool, by_candidate: bool) -> None:
        """Count a request that was answered in ``seconds``: by the candidate, by the other version
        in its place, though it was chosen, or by the other version."""
        if chosen:
            self.tally.candidate.note_answer(seconds, failed=not by_candidate)
            self._failed_at = self._failed_at if by_candidate else time.monotonic()
        else:
            self.tally.baseline.note_answer(seconds)

    @property
    def baseline_name(self) -> str:
        assert self.baseline is not None  # a request takes part once `meet` has seen it
        return self.baseline.name

    def patience(self, images: int) -> float:
        """Seconds that a caller waits for the candidate."""
        model = self.baseline.model if self.baseline else None
        pace = model.pace.seconds_per_image if model else 0.0
        waiting = self.candidate.pace.pending if self.candidate else 0
        return PATIENCE_SECONDS + PATIENCE_FACTOR * pace * (images + waiting)

    def _takes(self, contents: Sequence[object]) -> bool:
        """Whether the candidate can read ``contents``: what is decoded already is of the size that
        the other version reads."""
        own = self.candidate.manifest.input if self.candidate else None
        other = self.baseline.manifest if self.baseline else None
        decoded = any(isinstance(content, ModelInput) for content in contents)
        return not decoded or (other is not None and own == other.input)

    def _fraction(self, purpose: str, value: str) -> float:
        """0 to 1, the same for the same ``value`` throughout the rollout, in every worker."""
        text = "\0".join([*self.reference, purpose, value])
        digest = blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64
