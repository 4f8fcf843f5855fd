"""The watcher brings to the repository what has settled in the store, and nothing else."""

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.repository.repository import ModelRepository
from service.repository.store import Candidate
from service.repository.version import MAX_RETRY_SECONDS, RETRY_SECONDS, State
from service.repository.watcher import GONE_LOOKS, Watcher
from tests.packages import CLASSIFIER, copy_package
from tests.service.repository.harness import eventually


class Watched:
    """A store of pets/1, a repository that has it, and a watcher that looks only when told."""

    def __init__(self, store: Path, original: Path, loader) -> None:
        self.store, self.original, self.loader = store, original, loader
        self.publish(1)
        self.repository = ModelRepository(loader, None, lambda name: None)
        self.watcher = Watcher(store, self.repository, 1e6)
        self.watcher.fill(())
        self.watcher.start()

    def publish(self, version: int) -> Path:
        return copy_package(self.original, self.store, "pets", version)

    def touch(self, version: int) -> None:
        path = self.store / "pets" / str(version) / "manifest.json"
        path.write_text(path.read_text() + " ")

    def look(self, times: int) -> None:
        for _ in range(times):
            self.watcher.look()

    @property
    def versions(self) -> list[str]:
        return [entry.reference[1] for entry in self.repository.versions]


@pytest.fixture
def watched(tmp_path: Path, store: Path, loader) -> Iterator[Watched]:
    made = Watched(tmp_path / "store", store / CLASSIFIER / "1", loader)
    yield made
    made.watcher.stop()
    made.repository.close()


def test_what_stays_the_same_is_not_opened_again(watched: Watched) -> None:
    for _ in range(3):
        watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1")]


def test_a_new_version_is_opened_once_it_has_settled(watched: Watched) -> None:
    watched.publish(2)
    watched.watcher.look()
    assert watched.versions == ["1"]
    watched.touch(2)  # somebody is still writing
    watched.watcher.look()
    assert watched.versions == ["1"]
    watched.watcher.look()
    assert watched.versions == ["2", "1"]
    watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1"), ("pets", "2")]


def test_a_change_in_place_is_taken(watched: Watched) -> None:
    watched.touch(1)
    watched.watcher.look()
    watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1")] * 2


def test_what_is_broken_is_tried_once_until_it_changes(watched: Watched) -> None:
    watched.loader.broken.add(("pets", "2"))
    watched.publish(2)
    for _ in range(4):
        watched.watcher.look()
    assert [entry.reason is None for entry in watched.repository.versions] == [False, True]
    watched.loader.broken.clear()
    watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1")]
    watched.touch(2)
    watched.watcher.look()
    watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1"), ("pets", "2")]


def test_a_fault_that_passes_is_tried_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, load = 1000.0, watched.repository._load
    tries, reasons = [], []

    def fail(candidate: Candidate) -> None:
        tries.append(candidate.folder.name)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(watched.repository, "_load", fail)
    watched.publish(2)
    watched.publish(3)
    for _ in range(10):
        watched.watcher.look()
        reasons += [entry.reason for entry in watched.repository.versions[:2]]
    assert tries == ["2", "3"] * 2, "at once, and then after a pause; the one is no other's fault"
    assert reasons[-2:] == ["RuntimeError: can't start new thread"] * 2
    now += RETRY_SECONDS
    watched.watcher.look()
    assert tries == ["2", "3"] * 3
    monkeypatch.setattr(watched.repository, "_load", load)
    now += MAX_RETRY_SECONDS
    watched.watcher.look()
    assert [(entry.reason, entry.state) for entry in watched.repository.versions[:2]] == [
        (None, State.READY)
    ] * 2
    for _ in range(3):
        watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1"), ("pets", "2"), ("pets", "3")]


def test_what_failed_at_the_start_is_tried_again(
    tmp_path: Path, store: Path, loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader.broken.add(("pets", "2"))
    copy_package(store / CLASSIFIER / "1", tmp_path / "store", "pets", 2)
    watched = Watched(tmp_path / "store", store / CLASSIFIER / "1", loader)
    loader.broken.clear()
    watched.watcher.look()
    assert [entry.state for entry in watched.repository.versions] == [State.READY] * 2
    watched.watcher.stop()
    watched.repository.close()


def test_what_is_removed_goes_and_may_come_again(watched: Watched) -> None:
    watched.publish(2)
    watched.watcher.look()
    watched.watcher.look()
    shutil.rmtree(watched.store / "pets" / "2")
    watched.look(GONE_LOOKS)
    assert watched.versions == ["1"]
    watched.publish(2)
    watched.watcher.look()
    watched.watcher.look()
    assert watched.versions == ["2", "1"]


def test_what_is_missed_for_a_moment_goes_on(watched: Watched) -> None:
    watched.publish(2)
    watched.look(2)
    folder = watched.store / "pets" / "2"
    for _ in range(3):
        away = folder.rename(watched.store / ".away")
        watched.look(GONE_LOOKS - 1)
        assert watched.versions == ["2", "1"]
        away.rename(folder)
        watched.look(2)
    assert watched.loader.loaded == [("pets", "1"), ("pets", "2")]


def test_what_is_moved_away_and_back_is_there_again(watched: Watched) -> None:
    """Nothing of its files has changed by that."""
    watched.publish(2)
    watched.watcher.look()
    watched.watcher.look()
    folder = watched.store / "pets" / "2"
    away = folder.rename(watched.store / ".away")
    watched.look(GONE_LOOKS)
    assert watched.versions == ["1"]
    away.rename(folder)
    watched.watcher.look()
    watched.watcher.look()
    assert watched.versions == ["2", "1"]


@pytest.mark.parametrize("emptied", [True, False], ids=["empty", "not there"])
def test_a_store_that_cannot_be_read_costs_no_model(
    watched: Watched, emptied: bool, caplog: pytest.LogCaptureFixture
) -> None:
    away = watched.store.rename(watched.store.with_name("away"))
    if emptied:
        watched.store.mkdir()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            watched.watcher.look()
    assert watched.versions == ["1"]
    assert len(caplog.records) == 1, "said once"
    if emptied:
        watched.store.rmdir()
    away.rename(watched.store)
    watched.watcher.look()
    assert watched.loader.loaded == [("pets", "1")]


def test_the_thread_looks_by_itself_and_survives_a_fault(
    tmp_path: Path, store: Path, loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path / "store", store / CLASSIFIER / "1", loader)
    watcher = Watcher(watched.store, watched.repository, 0.01)
    put, faults = watched.repository.put, iter([RuntimeError("once")])

    def put_at_the_second_try(*arguments: object) -> None:
        for fault in faults:
            raise fault
        put(*arguments)

    watcher.fill(())
    monkeypatch.setattr(watched.repository, "put", put_at_the_second_try)
    watcher.start()
    watched.publish(2)
    watched.publish(3)
    eventually(lambda: "3" in watched.versions or "2" in watched.versions)
    watcher.stop()
    assert not watcher._thread.is_alive()
    watched.watcher.stop()
    watched.repository.close()
