"""The moment after which nobody waits for an answer any more."""

import time
from dataclasses import dataclass

from service.problems import Problem


@dataclass(frozen=True)
class Deadline:
    """``at`` is in seconds of `time.monotonic`; ``granted`` is how long the request had in all."""

    at: float
    granted: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds, seconds)

    @property
    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.at - time.monotonic()

    @property
    def passed(self) -> bool:
        return self.remaining <= 0

    def check(self, stage: str) -> None:
        """Raise Problem if it has passed before ``stage`` began."""
        if self.passed:
            raise self.problem(stage)

    def problem(self, stage: str) -> Problem:
        return Problem(
            "deadline_exceeded",
            f"The request had {self.granted * 1000:.0f} ms, which were over before {stage}.",
        )
