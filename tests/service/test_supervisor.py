"""Workers that end or stand still are noticed, and nobody else is harmed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service import supervisor
from service.scoreboard import BEAT, PHASE, PID, Phase, Row, Scoreboard
from service.supervisor import Supervisor
from service.telemetry.states import WORKER_ENDS
from tests.e2e.server import eventually
from tests.service.scoreboards import scoreboards


@pytest.fixture
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Scoreboard:
    return scoreboards(2, monkeypatch)[1]


@pytest.fixture
def row(board: Scoreboard, worker: "subprocess.Popen[bytes]") -> Row:
    """Of the worker, which has just shown itself."""
    row = board.workers[0]
    row[PID], row[PHASE], row[BEAT] = worker.pid, Phase.READY, time.monotonic()
    return row


def look(board: Scoreboard, limit: float = 60) -> None:
    Supervisor(board, limit, replaces=True).look()


def ends(board: Scoreboard) -> dict[str, float]:
    return {cause: board.total(place) for (cause,), place in board.find(WORKER_ENDS)}


def test_one_that_works_is_left_alone(
    board: Scoreboard, row: Row, worker: "subprocess.Popen[bytes]"
) -> None:
    look(board)
    assert (row[PHASE], row[PID]) == (Phase.READY, worker.pid)
    assert worker.poll() is None
    assert ends(board) == {}


def test_one_that_has_died_holds_nothing_any_more(
    board: Scoreboard, row: Row, worker: "subprocess.Popen[bytes]"
) -> None:
    held = board.cells("held", gauge=True)
    row[held] = 5
    worker.kill()
    worker.wait()
    look(board)
    look(board)
    assert (row[held], row[PHASE]) == (0, Phase.STARTING)
    assert ends(board) == {"died": 1}


@pytest.mark.parametrize("phase", [Phase.READY, Phase.DRAINING])
def test_one_whose_loop_stands_still_is_killed(
    board: Scoreboard, row: Row, worker: "subprocess.Popen[bytes]", phase: Phase
) -> None:
    row[PHASE], row[BEAT] = phase, time.monotonic() - 5
    look(board, limit=6)
    assert worker.poll() is None
    look(board, limit=4)
    assert worker.wait(10) == -signal.SIGKILL
    look(board)
    assert ends(board) == {"hung": 1}, "it is told once"


def test_one_that_the_system_holds_is_not_waited_for(
    board: Scoreboard, row: Row, worker: "subprocess.Popen[bytes]"
) -> None:
    worker.send_signal(signal.SIGSTOP)
    eventually(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED, "it stops")
    row[BEAT] = time.monotonic()
    look(board)
    assert worker.poll() is None, "somebody may let it go on"
    row[BEAT] -= supervisor.STOPPED_SECONDS
    look(board)
    assert worker.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.ENDING])
def test_one_that_starts_or_ends_may_take_its_time(
    board: Scoreboard, row: Row, worker: "subprocess.Popen[bytes]", phase: Phase
) -> None:
    row[PHASE], row[BEAT] = phase, time.monotonic() - 1000
    look(board, limit=4)
    assert worker.poll() is None


def test_the_service_ends_with_it_where_that_is_asked_for(
    board: Scoreboard,
    row: Row,
    worker: "subprocess.Popen[bytes]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[int, int]] = []
    worker.kill()
    worker.wait()
    monkeypatch.setattr("os.kill", lambda *arguments: sent.append(arguments))
    monkeypatch.setattr("os.getpid", lambda: 4711)
    Supervisor(board, 60, replaces=False).look()
    assert sent == [(4711, signal.SIGTERM)]


def test_the_folder_of_a_service_that_was_killed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in use is left alone."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("atexit.register", lambda *arguments, **options: None)
    left = tmp_path / f"{supervisor.FOLDER_PREFIX}left"
    left.mkdir()
    (left / "weights").write_text("")
    first = supervisor.make_folder()
    assert not left.exists()
    second = supervisor.make_folder()
    assert sorted(tmp_path.iterdir()) == sorted([first, second])
    assert first.stat().st_mode & 0o777 == 0o700
