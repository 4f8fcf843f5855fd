"""What one worker is told, all do, and those that come later."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from service.engine.orders import Orders
from service.problems import Problem
from service.repository.store import Reference
from service.scoreboard import PHASE, Phase, Scoreboard
from tests.service.scoreboards import scoreboards

PETS, PLANTS = ("pets", "1"), ("plants", "2")


class Models:
    """In place of a repository and its rollouts: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Reference]] = []
        self.missing: Reference | None = None

    def load(self, reference: Reference) -> "Future[None]":
        done: Future[None] = Future()
        done.set_result(self._note("load", reference))
        return done

    def unload(self, reference: Reference) -> None:
        self._note("unload", reference)

    def pin(self, reference: Reference, *, pinned: bool = True) -> None:
        self._note("pin" if pinned else "unpin", reference)

    def follow(self, reference: Reference) -> None:
        self._note("rollout", reference)

    def _note(self, action: str, reference: Reference) -> None:
        if reference == self.missing:
            raise Problem("model_not_found", "It is gone.")
        self.told.append((action, reference))


class Worker:
    def __init__(self, board: Scoreboard) -> None:
        self.board, self.models = board, Models()
        models: Any = self.models
        self.orders = Orders(board, models, models)
        board.own[PHASE] = Phase.READY

    @contextmanager
    def following(self) -> Iterator[None]:
        over = threading.Event()

        def follow() -> None:
            while not over.wait(0.001):
                self.orders.follow()

        thread = threading.Thread(target=follow)
        thread.start()
        yield
        over.set()
        thread.join()


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    return [Worker(board) for board in scoreboards(2, monkeypatch)]


def test_all_have_done_it_before_it_is_answered(workers: list[Worker]) -> None:
    one, other = workers
    with one.following(), other.following():
        asyncio.run(one.orders.announce("unload", PETS, PLANTS))
        assert other.models.told == [("unload", PETS), ("unload", PLANTS)]
        asyncio.run(other.orders.announce("pin", PETS))
        assert one.models.told[-1] == ("pin", PETS)


def test_it_waits_for_who_is_ready_and_not_for_who_is_gone(workers: list[Worker]) -> None:
    one, other = workers

    async def announce() -> bool:
        """Whether it was answered though the other had not done it."""
        task = asyncio.ensure_future(one.orders.announce("load", PETS))
        await asyncio.sleep(0.05)
        early = task.done()
        one.board.clear(other.board.own)
        await asyncio.wait_for(task, 5)
        return early

    with one.following():
        assert not asyncio.run(announce())


def test_who_comes_later_begins_with_the_last_order_of_each_kind(workers: list[Worker]) -> None:
    one, other = workers
    other.board.own[PHASE] = Phase.STARTING
    with one.following():
        for action, reference in (
            ("pin", PETS),
            ("unload", PETS),
            ("load", PLANTS),
            ("load", PETS),
            ("unpin", ("pets", "3")),
            ("rollout", PLANTS),
            ("unload", PLANTS),
        ):
            asyncio.run(one.orders.announce(action, reference))
    other.orders.follow()
    assert other.models.told == [
        ("load", PETS),
        ("unpin", ("pets", "3")),
        ("rollout", PLANTS),
        ("unload", PLANTS),
    ]
    other.orders.follow()
    assert len(other.models.told) == 4, "each once"


def test_what_one_cannot_do_holds_up_nothing(
    workers: list[Worker], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = workers
    other.models.missing = PETS
    with one.following(), other.following():
        asyncio.run(one.orders.announce("load", PETS, PLANTS))
    assert other.models.told == [("load", PLANTS)]
    assert "load of pets/1: It is gone." in caplog.text


def test_what_was_ordered_of_a_version_goes_with_it(workers: list[Worker]) -> None:
    one, other = workers
    other.board.own[PHASE] = Phase.STARTING
    with one.following():
        for action, reference in (("pin", PETS), ("unload", PETS), ("unload", ("pets", "2"))):
            asyncio.run(one.orders.announce(action, reference))
    one.orders.forget(PETS)
    one.orders.forget(PLANTS)
    other.orders.follow()
    assert other.models.told == [("unload", ("pets", "2"))]


def test_a_single_process_waits_for_nobody() -> None:
    worker = Worker(Scoreboard.alone())
    worker.board.own[PHASE] = Phase.STARTING
    asyncio.run(worker.orders.announce("pin", PETS))
    assert worker.models.told == []
