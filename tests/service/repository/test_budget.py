"""Models that are evicted to free memory, and loaded again when they are asked for."""

import asyncio
import time

import pytest

from service.http.descriptions import describe
from service.imaging.resize import ModelInput
from service.package import PackageError
from service.problems import Problem
from service.repository.version import MAX_RETRY_SECONDS, RETRY_SECONDS
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


def test_the_budget_is_kept_again_once_those_who_exceeded_it_have_left(
    loader, make_candidate: Make
) -> None:
    harness = Harness(loader, make_candidate, budget=150)
    harness.put(A1)
    harness.repository.put_evicted(B1, make_candidate(B1), loader.manifest(B1))

    async def scenario() -> None:
        async with harness.repository.take("a", None):
            async with harness.repository.take("b", None):
                assert harness.repository.loaded_bytes == 200
            assert harness.states() == {"a/1": "ready", "b/1": "ready"}, "b was used last"

    asyncio.run(scenario())
    assert harness.states() == {"a/1": "ready", "b/1": "evicted"}
    harness.repository.pin(A1)
    harness.put(A2)
    harness.repository.pin(A1, pinned=False)
    assert harness.repository.loaded_bytes == 100
    harness.repository.close()


def test_what_is_too_large_by_itself_stays_between_requests(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    harness = Harness(loader, make_candidate, budget=50)
    harness.put(A1)
    for _ in range(3):
        asyncio.run(ask(harness, "a", image))
    assert loader.loaded == [A1]
    harness.repository.close()


def test_a_load_is_a_use(loader, make_candidate: Make, image: ModelInput) -> None:
    harness = Harness(loader, make_candidate, budget=250)
    for reference in (A1, A2, B1):
        harness.repository.put_evicted(
            reference, make_candidate(reference), loader.manifest(reference)
        )
    asyncio.run(ask(harness, "a/1", image))
    harness.repository.load(A2).result(10)
    asyncio.run(ask(harness, "b", image))
    assert harness.states() == {"a/2": "ready", "a/1": "evicted", "b/1": "ready"}
    harness.repository.load(A2).result(10)
    asyncio.run(ask(harness, "a/1", image))
    assert harness.states() == {"a/2": "ready", "a/1": "ready", "b/1": "evicted"}, "loaded already"
    harness.repository.close()


def test_a_broken_package_is_not_loaded_for_every_request(
    loader, make_candidate: Make, image: ModelInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    harness = Harness(loader, make_candidate)
    harness.repository.put_evicted(A1, make_candidate(A1), loader.manifest(A1))
    loader.broken.add(A1)

    def tries(requests: int) -> int:
        before = len(harness.failures)
        for _ in range(requests):
            with pytest.raises(Problem, match="could not be loaded again"):
                asyncio.run(ask(harness, "a", image))
        return len(harness.failures) - before

    assert tries(20) == 2, "at once, as a fault may pass"
    now += RETRY_SECONDS
    assert tries(20) == 1
    now += RETRY_SECONDS
    assert tries(20) == 0
    now += 2 * RETRY_SECONDS
    assert tries(20) == 1
    loader.broken.clear()
    now += MAX_RETRY_SECONDS
    assert asyncio.run(ask(harness, "a", image)) == "1"
    harness.repository.close()


def test_a_load_that_fails_for_no_fault_of_the_package_is_said_too(
    loader, make_candidate: Make, image: ModelInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = Harness(loader, make_candidate)
    harness.repository.put_evicted(A1, make_candidate(A1), loader.manifest(A1))
    with monkeypatch.context() as patched:
        patched.setattr(harness.repository, "_load", lambda candidate: [][1])
        with pytest.raises(Problem, match="could not be loaded again"):
            asyncio.run(ask(harness, "a", image))
    assert harness.repository.find("a").reason == "IndexError: list index out of range"
    assert asyncio.run(ask(harness, "a", image)) == "1"
    harness.repository.close()


def test_what_could_not_be_loaded_again_is_not_evicted(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    """Its package was replaced by one that is unfit."""
    harness = Harness(loader, make_candidate, budget=150)
    harness.put(A1)
    loader.broken.add(A1)
    harness.put(A1, change=1)
    loader.broken.clear()
    harness.put(B1)
    assert asyncio.run(ask(harness, "b", image)) == "1"
    assert harness.states() == {"a/1": "ready", "b/1": "ready"}
    harness.put(A1, change=2)
    assert harness.states() == {"a/1": "ready", "b/1": "evicted"}
    harness.repository.close()


def test_what_is_loaded_again_is_described_as_it_is_now(
    loader, make_candidate: Make, image: ModelInput
) -> None:
    """Its package was replaced, where nothing watches the store."""
    harness = Harness(loader, make_candidate)
    harness.put(A1)
    harness.repository.unload(A1)
    loader._manifest = loader._manifest.model_copy(update={"opset": 99})
    harness.repository.load(A1).result(10)
    version = harness.repository.find("a")
    assert version.known == (version.model.manifest, version.model)
    assert (version.manifest.opset, describe(version)["opset"]) == (99, 99)
    harness.repository.unload(A1)
    assert harness.repository.show("a").manifest.opset == 99, "and after it"
    harness.repository.close()
