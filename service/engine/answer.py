"""What the engine is asked about, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.engine.pipelines import Times
from service.imaging.resize import ModelInput
from service.inference.task import Result
from service.manifest import ModelManifest
from service.problems import Problem
from service.rollout.shadows import Photo, Sample
from service.telemetry.record import STAGES


class RemoteImage(Protocol):
    """An image that is not here yet."""

    async def read(self) -> bytes:
        """Its file's bytes; raises Problem."""


Content = bytes | RemoteImage | ModelInput | Problem


@dataclass(frozen=True)
class Answer:
    """What a model says of the images of one request, in their order.

    results: of each image as the HTTP API shows it (docs/api.md), or its Problem.
    times: of each image.
    total: seconds from the request to the answer.
    then: of the classifier that was run on a detector's boxes, if one was.
    sample: the request, for the other version of a model on trial, to be offered to
        `Engine.shadows` once the reply is sent.
    """

    manifest: ModelManifest
    results: list[Result | Problem]
    times: list[Times]
    total: float
    then: ModelManifest | None = None
    sample: Sample | None = None

    @property
    def failed(self) -> bool:
        """Whether the service is at fault for any of the results."""
        problems = [result for result in self.results if isinstance(result, Problem)]
        return any(problem.kind.status >= 500 for problem in problems)

    @property
    def seconds(self) -> dict[str, float]:
        """Of the slowest image in each of `STAGES`, and "total"."""
        slowest = {
            stage: max(times.stages.get(stage, 0.0) for times in self.times) for stage in STAGES
        }
        return {**slowest, "total": self.total}


def photos_of(contents: Sequence[Content], answer: Answer) -> tuple[Photo, ...]:
    """Those that are still here and have an answer; what was fetched is not fetched again."""
    return tuple(
        Photo(content, result, times.stages.get("inference", 0.0))
        for content, result, times in zip(contents, answer.results, answer.times, strict=True)
        if isinstance(content, bytes | ModelInput) and not isinstance(result, Problem)
    )
