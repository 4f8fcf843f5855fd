"""A repository, and short ways to use it."""

import time
from collections.abc import Callable

import pytest

from service.imaging.resize import ModelInput
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.model import LoadedModel
from service.inference.task import Job
from service.problems import Problem
from service.repository.repository import ModelRepository
from service.repository.store import Candidate, Reference

A1, A2, A10, B1 = ("a", "1"), ("a", "2"), ("a", "10"), ("b", "1")
Make = Callable[..., Candidate]


class Harness:
    """``failures``: the names of models that could not be loaded."""

    def __init__(self, loader, make: Make, budget: int | None = None) -> None:
        self.loader, self.make = loader, make
        self.failures: list[str] = []
        self.repository = ModelRepository(loader, budget, self.failures.append)

    def put(self, *references: Reference, change: int = 0) -> None:
        for reference in references:
            self.repository.put(reference, self.make(reference, change))

    def version(self, reference: str | None) -> str:
        return self.repository.find(reference).reference[1]

    def states(self) -> dict[str, str]:
        return {entry.name: entry.state.value for entry in self.repository.versions}

    def code(self, reference: str | None, task: str | None = None) -> str:
        with pytest.raises(Problem) as caught:
            self.repository.find(reference, task)
        return caught.value.code


async def ask(harness: Harness, reference: str | None, image: ModelInput) -> str:
    """The version that answers a request to ``reference``."""
    async with harness.repository.take(reference, "classification") as model:
        result = await model.submit(Job(image, None, RequestPolicy(Deadline.after(20))))
    return result["classifications"][0]["version"]


def eventually(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.005)


def is_closed(model: LoadedModel) -> bool:
    return not any(thread.is_alive() for thread in model._batcher._threads)
