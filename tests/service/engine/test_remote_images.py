"""Images that are still on their way: what they hold, how long, and that nobody else pays."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.engine.answer import Answer
from service.engine.engine import Engine
from service.inference.model import LoadedModel
from service.parameters import ClassifyParameters
from service.problems import Problem
from service.repository.version import State
from tests.packages import CLASSIFIER, copy_package
from tests.service.engine.test_engine import make_engine, policy

MEGABYTE = 10**6


class Remote:
    """An image that comes once ``arrived`` is set, or after ``seconds``."""

    def __init__(self, content: bytes, seconds: float = 0.0) -> None:
        self.content, self.seconds = content, seconds
        self.arrived: asyncio.Event | None = None

    async def read(self) -> bytes:
        await (self.arrived.wait() if self.arrived else asyncio.sleep(self.seconds))
        return self.content


@pytest.fixture(scope="module", params=[0, 1], ids=["runs decode", "threads decode"])
def engine(
    request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    own = tmp_path_factory.mktemp("store")
    copy_package(store / CLASSIFIER / "1", own, "pets", 1)
    made = make_engine(
        model_store=own, decode_threads=request.param, max_bytes_in_service=10 * MEGABYTE
    )
    yield made
    made.close()


@pytest.fixture
def model(engine: Engine) -> LoadedModel:
    return engine.repository.models[0]


@pytest.fixture
def photo(photos: Path) -> bytes:
    return (photos / "cat.jpg").read_bytes()


async def ask(engine: Engine, *contents: object, seconds: float = 60) -> Answer:
    return await engine.answer("classification", contents, ClassifyParameters(), policy(seconds))


def test_the_way_of_an_image_is_no_part_of_the_pace(
    engine: Engine, model: LoadedModel, photo: bytes
) -> None:
    async def scenario() -> float:
        await ask(engine, photo)
        for _ in range(3):
            await ask(engine, Remote(photo, 0.4), Remote(photo, 0.4))
        model.pace.pending = 1
        try:
            return model.pace.expected_wait
        finally:
            model.pace.pending = 0

    assert asyncio.run(scenario()) < 0.2


def test_an_image_on_its_way_is_before_nobody(
    engine: Engine, model: LoadedModel, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And beside nobody: the machine is idle meanwhile."""
    in_service = []
    run = model.predictor.run

    def noted(*batch: object, alone: bool) -> list:
        in_service.append(model._concurrency._images_in_service())
        return run(*batch, alone=alone)

    monkeypatch.setattr(model.predictor, "run", noted)

    async def scenario() -> None:
        remote = Remote(photo)
        remote.arrived = asyncio.Event()
        model.pace.note(100.0, 1)
        waits = asyncio.create_task(ask(engine, remote))
        await asyncio.sleep(0.05)
        assert (engine.admission.images, model.pace.pending) == (1, 0)
        assert (await ask(engine, photo, seconds=2)).results[0]["classifications"]
        remote.arrived.set()
        assert (await waits).results[0]["classifications"]

    asyncio.run(scenario())
    assert in_service == [1, 1]
    for _ in range(100):
        model.pace.note(0.001, 1)


def test_who_comes_too_late_for_its_deadline_is_told_at_once(
    engine: Engine, model: LoadedModel, photo: bytes
) -> None:
    async def scenario() -> Answer:
        task = asyncio.create_task(ask(engine, Remote(photo, 0.1), seconds=5))
        await asyncio.sleep(0.05)
        model.pace.note(1000.0, 1)
        model.pace.pending = 1  # meanwhile others came
        try:
            return await task
        finally:
            model.pace.pending = 0

    (problem,) = asyncio.run(scenario()).results
    assert problem.code == "overloaded"
    for _ in range(200):
        model.pace.note(0.001, 1)


def test_an_image_is_waited_for_until_the_deadline(engine: Engine, photo: bytes) -> None:
    started = time.monotonic()
    late, here = asyncio.run(ask(engine, Remote(photo, 60), photo, seconds=0.5)).results
    assert time.monotonic() - started < 30
    assert (late.code, "before the image had come" in late.detail) == ("deadline_exceeded", True)
    assert here["classifications"], "what was here has its answer"
    assert engine.admission.images == 0


def test_a_model_is_waited_for_until_the_deadline(engine: Engine, photo: bytes) -> None:
    entry, load = engine.repository.find("pets"), engine.repository._load
    may_load = threading.Event()
    engine.repository._load = lambda candidate: may_load.wait(60) and load(candidate)
    with engine.repository._lock:
        entry.state = State.EVICTED
        engine.repository._close_if_unused(entry)
    try:
        with pytest.raises(Problem, match="before its model was loaded") as caught:
            asyncio.run(ask(engine, photo, seconds=0.2))
        assert (caught.value.code, engine.admission.images) == ("deadline_exceeded", 0)
        may_load.set()
        assert asyncio.run(ask(engine, photo)).results[0]["classifications"], "the load goes on"
    finally:
        engine.repository._load = load


def test_every_image_that_came_is_counted_until_it_is_answered(
    engine: Engine, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten megabytes hold five of two; each of the others is refused by itself."""
    counted = []
    submit = model.submit

    async def slowly(job: object) -> object:
        await asyncio.sleep(0.1)
        counted.append(engine.admission.bytes)
        return await submit(job)

    monkeypatch.setattr(model, "submit", slowly)
    remotes = [Remote(bytes(2 * MEGABYTE)) for _ in range(8)]
    answer = asyncio.run(ask(engine, *remotes))
    codes = [result.code for result in answer.results]
    assert sorted(codes) == ["invalid_image"] * 5 + ["overloaded"] * 3
    assert max(counted) == 10 * MEGABYTE
    assert engine.admission.bytes == 0
