"""Models that are evicted to free memory, and loaded again when they are asked for."""

import asyncio

import pytest

from service.imaging.resize import ModelInput
from service.package import PackageError
from service.problems import Problem
from tests.service.repository.harness import A1, A2, B1, Harness, Make, ask


def test_the_budget_evicts_what_was_used_longest_ago(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    harness = Harness(loader, make_candidate, budget=250)
    harness.put(A1, A2)
    asyncio.run(ask(harness, "a/1", image))
    harness.put(B1)
    assert harness.states() == {"a/2": "evicted", "a/1": "ready", "b/1": "ready"}
    assert harness.repository.loaded_bytes == 200
    assert asyncio.run(ask(harness, "a", image)) == "2", "it is loaded again when asked for"
    assert harness.states() == {"a/2": "ready", "a/1": "evicted", "b/1": "ready"}
    harness.repository.close()


def test_what_is_pinned_or_in_use_is_not_evicted(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    harness = Harness(loader, make_candidate, budget=250)
    harness.put(A1, A2)
    harness.repository.pin(A1)
    loader.gate.clear()

    async def scenario() -> None:
        asked = asyncio.create_task(ask(harness, "a/2", image))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(harness.put, B1)
        assert set(harness.states().values()) == {"ready"}
        loader.gate.set()
        assert await asked == "2"

    asyncio.run(scenario())
    harness.repository.close()


def test_many_who_ask_for_what_is_evicted_load_it_once(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    harness = Harness(loader, make_candidate, budget=1)
    harness.repository.put_evicted(A1, make_candidate(A1), loader.manifest(A1))

    async def scenario() -> None:
        assert await asyncio.gather(*(ask(harness, "a", image) for _ in range(20))) == ["1"] * 20

    asyncio.run(scenario())
    assert loader.loaded == [A1]
    harness.repository.close()


def test_one_who_goes_while_it_loads_does_not_cost_the_others(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    harness = Harness(loader, make_candidate, budget=1)
    harness.repository.put_evicted(A1, make_candidate(A1), loader.manifest(A1))
    loader.permit.clear()

    async def scenario() -> None:
        before = asyncio.create_task(asyncio.to_thread(harness.put, B1))
        await asyncio.sleep(0.02)  # another model is being loaded, and theirs has not begun
        first = asyncio.create_task(ask(harness, "a", image))
        second = asyncio.create_task(ask(harness, "a", image))
        await asyncio.sleep(0.02)
        first.cancel()
        await asyncio.sleep(0.02)
        loader.permit.set()
        await before
        assert await second == "1"

    asyncio.run(scenario())
    assert loader.loaded == [B1, A1]
    assert harness.repository.find("a").users == 0
    harness.repository.close()


def test_what_cannot_be_loaded_again_is_said_and_tried_anew(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    harness = Harness(loader, make_candidate, budget=1)
    harness.repository.put_evicted(A1, make_candidate(A1), loader.manifest(A1))
    loader.broken.add(A1)
    with pytest.raises(Problem, match="could not be loaded again") as caught:
        asyncio.run(ask(harness, "a", image))
    assert caught.value.code == "internal_error"
    assert harness.failures == ["a"]
    assert harness.repository.find("a").reason == "store/a/1: is broken"
    with pytest.raises(PackageError):
        harness.repository.load(A1).result(10)
    for _ in range(100):  # a load that fails at once is forgotten like any other
        with pytest.raises(PackageError):
            harness.repository.load(A1).result(10)
    loader.broken.clear()
    assert asyncio.run(ask(harness, "a", image)) == "1"
    assert harness.repository.find("a").reason is None
    harness.repository.close()
