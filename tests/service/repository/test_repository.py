"""The model repository: what a name means, and that a swap loses nobody's request."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from service.imaging.resize import ModelInput
from service.inference.deadline import Deadline, RequestPolicy
from service.inference.task import Job
from service.problems import Problem
from service.repository.version import State
from tests.service.repository.harness import (
    A1,
    A2,
    A10,
    B1,
    Harness,
    Make,
    ask,
    eventually,
    is_closed,
)


@pytest.fixture
def harness(loader, make_candidate: Make) -> Iterator[Harness]:
    made = Harness(loader, make_candidate)
    yield made
    loader.permit.set()
    loader.gate.set()
    made.repository.close()


def test_a_name_means_its_highest_version(harness: Harness) -> None:
    harness.put(A2, A10, A1, B1)
    assert harness.version("a") == "10"
    assert harness.version("a/2") == "2"
    assert harness.version(None) == "10"
    assert [entry.name for entry in harness.repository.versions] == ["a/10", "a/2", "a/1", "b/1"]


def test_the_model_that_was_measured_best_answers_where_none_is_named(
    harness: Harness, loader
) -> None:
    repository = harness.repository

    def default() -> str:
        found = repository.find(None, "classification")
        assert [entry for entry in repository.versions if repository.is_default(entry)] == [found]
        return found.name

    loader.top1 = {A1: 0.7, A2: 0.5, B1: 0.6}
    harness.put(("0", "1"), A1, A2)
    assert default() == "a/2", "one that was not measured comes after"
    harness.put(B1)
    assert default() == "b/1", "an older version does not speak for its name"
    repository.pin(A1)
    assert default() == "a/1"
    repository.pin(A1, pinned=False)
    repository.unload(B1)
    assert default() == "a/2"
    for reference in (("0", "1"), A1, A2):
        repository.unload(reference)
    assert harness.code(None, "classification") == "model_unloaded"
    assert not any(map(repository.is_default, repository.versions))


def test_what_is_not_there_is_said(harness: Harness) -> None:
    harness.put(A1, B1)
    assert harness.code("c") == "model_not_found"
    assert harness.code("a/9") == "model_not_found"
    assert harness.code("a", "detection") == "wrong_task"
    assert harness.code(None, "detection") == "model_not_found"
    with pytest.raises(Problem, match="there are a, b"):
        harness.repository.find("c")


def test_what_a_request_may_be_for_is_known_as_far_as_its_aim_is(harness: Harness) -> None:
    harness.put(A1, A2, B1)

    def names(reference: str | None, *, certain: bool, task: str | None = None) -> list[str]:
        found = harness.repository.candidates(task, reference, certain=certain)
        return [f"{m.manifest.name}/{m.manifest.version}" for m in found]

    assert names("b", certain=True) == ["b/1"]
    assert names(None, certain=True, task="classification") == ["a/2"]
    assert names(None, certain=False, task="classification") == ["a/2", "a/1", "b/1"]
    assert names(None, certain=False, task="detection") == []
    assert names("b", certain=True, task="detection") == [], "the wrong task is said elsewhere"
    assert names("c", certain=True) == []
    harness.repository.unload(B1)
    assert names("b", certain=True) == []


def test_a_pin_holds_against_newer_versions(harness: Harness) -> None:
    harness.put(A1, A2)
    harness.repository.pin(A1)
    harness.put(A10)
    assert harness.version("a") == "1"
    assert harness.version("a/10") == "10"
    harness.repository.pin(A2)
    assert [entry.name for entry in harness.repository.versions if entry.pinned] == ["a/2"]
    harness.put(A2, change=1)
    assert harness.version("a") == "2", "a change in place keeps the pin"
    harness.repository.pin(A2, pinned=False)
    assert harness.version("a") == "10"


def test_a_broken_version_leaves_the_old_one(harness: Harness, loader) -> None:
    harness.put(A1)
    loader.broken.add(A2)
    harness.put(A2)
    assert harness.version("a") == "1"
    assert harness.code("a/2") == "model_not_found"
    assert harness.failures == ["a"]
    assert harness.states() == {"a/2": "failed", "a/1": "ready"}
    loader.broken.clear()
    harness.put(A2, change=1)
    assert harness.version("a") == "2"
    assert harness.repository.find("a").reason is None


def test_a_change_in_place_that_is_broken_leaves_what_was_there(
    harness: Harness, loader, image: ModelInput
) -> None:
    harness.put(A1)
    loader.broken.add(A1)
    harness.put(A1, change=1)
    entry = harness.repository.find("a")
    assert (entry.state, entry.reason) == (State.READY, "store/a/1: is broken")
    assert asyncio.run(ask(harness, "a", image)) == "1"


@pytest.mark.parametrize("folder", ["latest", "2.bak", "-1", "٣", "v2"])
def test_a_folder_that_is_no_version_disturbs_nobody(harness: Harness, folder: str) -> None:
    harness.put(A1)
    candidate = harness.make(("a", folder))
    harness.repository.refuse(("a", folder), candidate, "its manifest is of a/1")
    assert harness.version("a") == "1"
    assert [entry.name for entry in harness.repository.versions] == ["a/1", f"a/{folder}"]


def test_a_swap_waits_for_those_who_hold_the_old_model(
    harness: Harness, loader, image: ModelInput
) -> None:
    harness.put(A1)
    old = harness.repository.find("a").model
    loader.gate.clear()

    async def scenario() -> None:
        early = asyncio.create_task(ask(harness, "a", image))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(harness.put, A1, change=1)
        await asyncio.to_thread(harness.put, A2)
        late = asyncio.create_task(ask(harness, "a", image))
        await asyncio.sleep(0.05)
        assert not is_closed(old), "somebody holds it"
        loader.gate.set()
        assert [await early, await late] == ["1", "2"]

    asyncio.run(scenario())
    eventually(lambda: is_closed(old))


@pytest.mark.parametrize("change", ["swapped", "removed", "unloaded"])
def test_who_took_a_model_may_use_it_whatever_happens_to_it(
    harness: Harness, image: ModelInput, change: str
) -> None:
    """A request takes its model first, and comes to it only once its images are decoded."""
    harness.put(A1)

    async def scenario() -> None:
        async with harness.repository.take("a", "classification") as model:
            match change:
                case "swapped":
                    await asyncio.to_thread(harness.put, A1, change=1)
                case "removed":
                    harness.repository.remove(A1)
                case "unloaded":
                    harness.repository.unload(A1)
            await asyncio.sleep(0.05)
            await model.submit(Job(image, None, RequestPolicy(Deadline.after(20))))
        await asyncio.to_thread(eventually, lambda: is_closed(model))

    asyncio.run(scenario())


def test_a_removed_model_answers_those_who_hold_it(
    harness: Harness, loader, image: ModelInput
) -> None:
    harness.put(A1)
    model = harness.repository.find("a").model
    loader.gate.clear()

    async def scenario() -> None:
        asked = asyncio.create_task(ask(harness, "a", image))
        await asyncio.sleep(0.05)
        harness.repository.remove(A1)
        assert harness.code("a") == "model_not_found"
        loader.gate.set()
        assert await asked == "1"

    asyncio.run(scenario())
    eventually(lambda: is_closed(model))
    harness.repository.remove(A1)  # twice is once


def test_unload_and_load(harness: Harness, loader, image: ModelInput) -> None:
    harness.put(A1, A2)
    model = harness.repository.find("a/2").model
    harness.repository.unload(A2)
    assert harness.version("a") == "1"
    assert harness.code("a/2") == "model_unloaded"
    eventually(lambda: is_closed(model))
    harness.repository.unload(A1)
    assert harness.code("a") == "model_unloaded"
    harness.repository.load(A2).result(10)
    assert asyncio.run(ask(harness, "a", image)) == "2"
    assert loader.loaded == [A1, A2, A2]
    harness.repository.load(A2).result(10)
    assert loader.loaded == [A1, A2, A2], "what is loaded is not loaded again"


def test_an_operator_cannot_touch_what_is_not_there(harness: Harness) -> None:
    harness.put(A1)
    for work in (harness.repository.unload, harness.repository.load, harness.repository.pin):
        with pytest.raises(Problem) as caught:
            work(("a", "9"))
        assert caught.value.code == "model_not_found"


def test_what_is_unloaded_stays_so_when_its_package_changes(harness: Harness) -> None:
    harness.put(A1)
    harness.repository.unload(A1)
    harness.put(A1, change=1)
    assert harness.states() == {"a/1": "unloaded"}
    eventually(lambda: all(is_closed(model) for model in harness.loader.models))


def test_unloaded_while_it_is_loading(harness: Harness, loader) -> None:
    harness.put(A1)
    harness.repository.unload(A1)
    loader.permit.clear()
    loading = harness.repository.load(A1)
    harness.repository.unload(A1)
    loader.permit.set()
    loading.result(10)
    assert harness.states() == {"a/1": "unloaded"}
    eventually(lambda: all(is_closed(model) for model in loader.models))


def test_unloaded_while_it_is_in_use(harness: Harness, loader, image: ModelInput) -> None:
    harness.put(A1)
    loader.gate.clear()

    async def scenario() -> None:
        asked = asyncio.create_task(ask(harness, "a", image))
        await asyncio.sleep(0.05)
        harness.repository.unload(A1)
        harness.repository.load(A1).result(10)
        loader.gate.set()
        assert await asked == "1"
        assert await ask(harness, "a", image) == "1"

    asyncio.run(scenario())
    assert loader.loaded == [A1]


def test_swaps_under_load_lose_nothing(harness: Harness, image: ModelInput) -> None:
    harness.put(A1)
    answers: list[str] = []

    async def caller(stop: threading.Event) -> None:
        while not stop.is_set():
            answers.append(await ask(harness, "a", image))

    async def scenario() -> None:
        stop = threading.Event()
        callers = [asyncio.create_task(caller(stop)) for _ in range(8)]
        for version in range(2, 22):
            await asyncio.to_thread(harness.put, ("a", str(version)))
            harness.repository.remove(("a", str(version - 1)))
            await asyncio.sleep(0.002)
        stop.set()
        await asyncio.gather(*callers)  # of whom the last to end may have had version 20
        answers.append(await ask(harness, "a", image))

    asyncio.run(scenario())
    assert answers[-1] == "21"
    assert {entry.users for entry in harness.repository.versions} == {0}
    eventually(lambda: sum(not is_closed(model) for model in harness.loader.models) == 1)


def test_no_bare_name_means_a_version_that_is_withheld(harness: Harness) -> None:
    harness.put(A1, A2)
    harness.repository.withhold({A2})
    assert (harness.version("a"), harness.version(None)) == ("1", "1")
    assert harness.version("a/2") == "2"
    harness.repository.pin(A2)
    assert harness.version("a") == "2", "an operator's word goes first"
    harness.repository.pin(A2, pinned=False)
    harness.repository.withhold({A1, A2})
    assert harness.version("a") == "2", "as long as there is another"
    harness.repository.withhold(frozenset())
    assert harness.version("a") == "2"


def test_an_evicted_version_is_freed_and_loaded_when_it_is_asked_for(
    harness: Harness, image: ModelInput
) -> None:
    harness.put(A1)
    (model,) = harness.repository.models
    harness.repository.evict(A1)
    eventually(lambda: is_closed(model))
    assert harness.states() == {"a/1": "evicted"}
    harness.repository.evict(A1)
    harness.repository.evict(A2)
    assert asyncio.run(ask(harness, "a", image)) == "1"
    assert harness.states() == {"a/1": "ready"}
