"""Copies wait for callers, and are dropped where too many wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.manifest import ModelManifest
from service.parameters import ClassifyParameters
from service.rollout import shadows
from service.rollout.plan import Record, Shadow
from service.rollout.rollout import Rollout
from service.rollout.shadows import Photo, Sample, Shadows
from service.rollout.shared import SharedTallies
from service.scoreboard import Scoreboard

RESULT: dict[str, Any] = {"classifications": [{"label": "tench", "label_id": 0, "score": 0.5}]}


class Repository:
    """Of one model that answers every job with ``outcome``; counts them."""

    def __init__(self, manifest: ModelManifest, outcome: Any) -> None:
        self.manifest, self.outcome = manifest, outcome
        self.asked = 0
        self.predictor = self

    @asynccontextmanager
    async def take(self, *arguments: object) -> AsyncIterator["Repository"]:
        yield self

    def to_query(self, parameters: object) -> None:
        return None

    async def submit(self, job: object) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def rollout() -> Rollout:
    return Rollout(
        "pets",
        Record(version="2", shadow=Shadow(share=1)).begun(None),
        SharedTallies(Scoreboard.alone()),
    )


def sample(rollout: Rollout, manifest: ModelManifest, size: int = 10) -> Sample:
    photo = Photo(b"x" * size, RESULT, 0.01)
    return Sample(rollout, "classification", manifest, False, ClassifyParameters(), (photo,))


def test_they_are_run_one_after_the_other(rollout: Rollout, manifest: ModelManifest) -> None:
    repository = Repository(manifest, RESULT)

    async def scenario() -> None:
        queue = Shadows(repository, lambda: False)  # type: ignore[arg-type]
        for _ in range(5):
            await queue.offer(sample(rollout, manifest))
        assert repository.asked == 0, "whoever offers one does not wait"
        assert queue.running is not None
        await queue.running

    asyncio.run(scenario())
    assert repository.asked == 5
    assert list(rollout.tally.photos) == [5, 0, 0]


@pytest.mark.parametrize(("size", "kept"), [(10, 32), (2**20, 32), (10 * 2**20, 3)])
def test_too_many_are_dropped(
    rollout: Rollout, manifest: ModelManifest, size: int, kept: int
) -> None:
    repository = Repository(manifest, RESULT)

    async def scenario() -> None:
        queue = Shadows(repository, lambda: False)  # type: ignore[arg-type]
        for _ in range(40):
            await queue.offer(sample(rollout, manifest, size))
        assert queue.running is not None
        await queue.running
        await queue.offer(sample(rollout, manifest, size))
        await queue.running

    asyncio.run(scenario())
    assert list(rollout.tally.photos) == [kept + 1, 40 - kept, 0]


def test_they_wait_for_callers_but_not_for_ever(
    rollout: Rollout, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadows, "YIELD_SECONDS", 0.2)
    repository = Repository(manifest, RESULT)

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        queue = Shadows(repository, lambda: True)  # type: ignore[arg-type]
        await queue.offer(sample(rollout, manifest))
        await asyncio.sleep(0.05)
        assert repository.asked == 0
        assert queue.running is not None
        await queue.running
        return loop.time() - began

    assert asyncio.run(scenario()) >= 0.2
    assert repository.asked == 1


def test_once_it_is_over_nothing_is_run(rollout: Rollout, manifest: ModelManifest) -> None:
    repository = Repository(manifest, RESULT)

    async def scenario() -> None:
        queue = Shadows(repository, lambda: False)  # type: ignore[arg-type]
        await queue.offer(sample(rollout, manifest))
        rollout.record = rollout.record.moved(phase="aborted")
        assert queue.running is not None
        await queue.running

    asyncio.run(scenario())
    assert repository.asked == 0


def test_what_it_raises_is_counted_and_heard_by_nobody(
    rollout: Rollout, manifest: ModelManifest
) -> None:
    repository = Repository(manifest, RuntimeError("it fails"))

    async def scenario() -> None:
        queue = Shadows(repository, lambda: False)  # type: ignore[arg-type]
        for _ in range(3):
            await queue.offer(sample(rollout, manifest))
        assert queue.running is not None
        await queue.running

    asyncio.run(scenario())
    assert list(rollout.tally.photos) == [0, 0, 3]
