"""What processes count and order is one, whichever of them is asked, and whichever is killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from service.scoreboard import BEAT, FOLLOWED, ORDERS, PHASE, PID, VARIABLE, Phase, Scoreboard
from tests.paths import ROOT
from tests.service.scoreboards import scoreboards


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Scoreboard]:
    return scoreboards(2, monkeypatch)


def test_a_cell_has_one_place_for_all(workers: list[Scoreboard]) -> None:
    one, other = workers
    first, second = one.cells("events", ("a",)), other.cells("events", ("b",), 3)
    assert other.cells("events", ("a",)) == first
    assert one.cells("events", ("b",), 3) == second
    assert second > first
    assert one.find("events") == other.find("events") == [(("a",), first), (("b",), second)]
    assert one.find("nothing") == []
    one.own[first] += 2
    other.own[first] += 3
    other.own[second + 2] = 0.5
    assert [board.total(first) for board in workers] == [5, 5]
    assert one.sums(second, 3) == [0, 0, 0.5]


def test_what_an_ended_one_held_is_forgotten_and_what_it_counted_stays(
    workers: list[Scoreboard],
) -> None:
    one, other = workers
    held, counted = one.cells("held", gauge=True), one.cells("counted")
    one.own[held], one.own[counted] = 4, 9
    one.own[PHASE], one.own[BEAT], one.own[FOLLOWED] = Phase.READY, 100.0, 7
    other.clear(one.own)
    assert (other.total(held), other.total(counted)) == (0, 9)
    assert list(one.own[PHASE : FOLLOWED + 1]) == [0, 0, 0]
    one.enter()
    one.own[counted] += 1
    assert one.own[PID] == os.getpid()
    assert other.total(counted) == 10


def test_all_are_ready_or_the_service_is_not(workers: list[Scoreboard]) -> None:
    one, other = workers
    one.own[PHASE] = Phase.READY
    assert not other.is_ready
    other.own[PHASE] = Phase.READY
    assert one.is_ready
    one.own[PHASE] = Phase.DRAINING
    assert not other.is_ready
    assert Scoreboard.alone().is_ready


def test_changes_are_read_by_all_and_followed_by_those_that_are_ready(
    workers: list[Scoreboard],
) -> None:
    one, other = workers
    assert one.read() == {}
    first = one.change(lambda known, number: known.update(a=number))
    second = other.change(lambda known, number: known.update(b=number))
    assert (first, second, one.changes) == (1, 2, 2)
    assert one.read() == other.read() == {"a": 1, "b": 2}
    assert one.is_followed(second), "nobody is ready yet"
    one.own[PHASE] = other.own[PHASE] = Phase.READY
    one.own[FOLLOWED] = 2
    assert not one.is_followed(second)
    other.own[FOLLOWED] = 2
    assert one.is_followed(second)


def test_a_change_that_fails_or_is_too_large_changes_nothing(workers: list[Scoreboard]) -> None:
    one, other = workers
    one.change(lambda known, number: known.update(a=number))

    def fail(known: dict[str, object], number: int) -> None:
        known["b"] = number
        raise RuntimeError

    with pytest.raises(RuntimeError):
        one.change(fail)
    with pytest.raises(MemoryError):
        one.change(lambda known, number: known.update(b="x" * ORDERS))
    assert other.read() == {"a": 1}
    assert other.change(lambda known, number: known.update(c=number)) == 2


def test_names_that_find_no_room_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Scoreboard.alone()
    with pytest.raises(MemoryError):
        board.cells("all", (), 2**18)
    assert board.cells("one") == FOLLOWED + 1


def test_who_was_started_by_another_has_one_of_its_own(
    workers: list[Scoreboard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert not Scoreboard.join(1).shared
    monkeypatch.delenv(VARIABLE)
    assert not Scoreboard.join(1).shared


COUNTING = """
import sys, threading
from service.scoreboard import Scoreboard

board = Scoreboard.join(int(sys.argv[1]))
board.enter()
place, common = board.cells("events"), board.cells("in the common row")
print("begun", flush=True)
for i in range(int(sys.argv[2])):
    board.own[place] += 1
    if i % 20 == 0:  # each turn of the lock is one of the scheduler's
        with board.lock():
            board.common[common] += 1
    if i % 100 == 0:
        board.cells("name", (sys.argv[1], str(i)))
        board.change(lambda known, number: known.update({sys.argv[1]: number}))
if sys.argv[1] == "1":
    sys.stdin.readline()  # until all have begun, which takes the lock
    with board.lock():
        print("locked", flush=True)
        threading.Event().wait()
"""


def test_processes_lose_no_count_and_one_that_is_killed_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first is killed while it holds the lock that the others want."""
    monkeypatch.setenv(VARIABLE, "")
    board, each = Scoreboard.create(3), 600
    board.enter()

    def start(number: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", COUNTING, str(number), str(each)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)

    processes = [start(number) for number in (1, 2, 3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
    first = processes[0]
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.write("\n")
    first.stdin.flush()
    assert first.stdout.readline() == "locked\n"
    first.send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=60)
    place, common = board.cells("events"), board.cells("in the common row")
    assert board.total(place) == 3 * each
    assert board.common[common] == 3 * each / 20
    assert len(board.find("name")) == 3 * each / 100
    assert board.read().keys() == {"1", "2", "3"}
    assert board.changes == 3 * each / 100


def test_threads_that_want_the_lock_have_it_one_after_the_other(workers: list[Scoreboard]) -> None:
    one, other = workers
    place, had = one.cells("common"), threading.Event()

    def want() -> None:
        with other.lock():
            had.set()

    with one.lock():
        with one.lock():
            one.common[place] = 1
        thread = threading.Thread(target=want)
        thread.start()
        time.sleep(0.05)
        assert not had.is_set(), "the inner block has not opened it"
    thread.join(5)
    assert had.is_set()
