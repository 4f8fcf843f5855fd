"""How urgent a request is: its deadline and its priority."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from service.problems import Problem


@dataclass(frozen=True)
class Deadline:
    """When the client stops waiting.

    at: in seconds of `time.monotonic`. granted: seconds that the request had in all.
    """

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

    @asynccontextmanager
    async def limit(self, stage: str) -> AsyncIterator[None]:
        """Cancel what the block waits for once it passes; raises Problem then, as if ``stage`` had
        not begun."""
        try:
            async with asyncio.timeout(self.remaining) as timer:
                yield
        except TimeoutError:
            if timer.expired():
                raise self.problem(stage) from None
            raise

    def problem(self, stage: str) -> Problem:
        return Problem(
            "deadline_exceeded",
            f"The request had {self.granted * 1000:.0f} ms, which were over before {stage}.",
        )


NO_DEADLINE = Deadline(math.inf, math.inf)


class Priority(Enum):
    """INTERACTIVE: a user waits for the answer. BULK: a background job, which yields to them."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True)
class RequestPolicy:
    """How one request is scheduled."""

    deadline: Deadline
    priority: Priority = Priority.INTERACTIVE
