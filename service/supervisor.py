"""Looks after the workers, from the process that starts them.

BentoML has Circus start one in place of one that has ended, after up to ten seconds, and in a
container never; one that stands still it does not notice.
"""

import atexit
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import psutil
from bentoml._internal.utils.circus import Arbiter

from service.scoreboard import BEAT, PHASE, PID, Phase, Row, Scoreboard
from service.settings import Settings
from service.telemetry.logs import logger
from service.telemetry.states import WORKER_ENDS

LOOK_SECONDS = 0.25
FOLDER_PREFIX = "boxport-workers-"  # of a folder for temporary files
REAP_SECONDS = 0.5  # between two looks of Circus for processes that have ended
STOPPED_SECONDS = 1.0  # a process that the system holds, by SIGSTOP, will not go on by itself


class Supervisor:
    """Ends workers that stand still, and forgets what those held that have ended.

    limit: seconds after which an event loop is taken to stand still.
    replaces: whether the service goes on when a worker has ended.
    """

    def __init__(self, board: Scoreboard, limit: float, *, replaces: bool) -> None:
        self._board, self._limit, self._replaces = board, limit, replaces
        board.enter()

    def start(self) -> None:
        """Look again and again, for as long as this process lives."""
        threading.Thread(target=self._watch, name="supervisor", daemon=True).start()

    def look(self) -> None:
        for row in self._board.workers:
            if row[BEAT]:
                self._check(row)

    def _check(self, row: Row) -> None:
        pid, silent = int(row[PID]), time.monotonic() - row[BEAT]
        status = _status(pid)
        serves = row[PHASE] in (Phase.READY, Phase.DRAINING)
        if status in (None, psutil.STATUS_ZOMBIE):
            if row[PHASE] == Phase.READY:
                self._note("died", f"worker {pid} has ended")
            self._board.clear(row)
        elif (serves and silent > self._limit) or (
            status == psutil.STATUS_STOPPED and silent > STOPPED_SECONDS
        ):
            self._note("hung", f"worker {pid} stands still for {silent:.1f} s: it is killed")
            row[PHASE] = Phase.ENDING
            os.kill(pid, signal.SIGKILL)

    def _note(self, cause: str, said: str) -> None:
        logger.error("%s", said)
        self._board.own[self._board.cells(WORKER_ENDS, (cause,))] += 1
        if not self._replaces:
            os.kill(os.getpid(), signal.SIGTERM)

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look()
            except Exception:  # whatever it is, the next look may do better
                logger.exception("a look at the workers failed")


def supervise(settings: Settings) -> None:
    """Have the workers that this process will start be one service."""
    folder = make_folder() if settings.worker_count > 1 else None
    board = Scoreboard.create(settings.worker_count, folder)
    replaces = settings.on_worker_end == "replace"
    _look_often(replaces)
    Supervisor(board, settings.worker_timeout_ms / 1000, replaces=replaces).start()


def make_folder() -> Path:
    """For files that the workers share, as long as this process lives; those of processes that were
    killed are removed."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):  # another user's, or one that is in use
            os.close(_lock_folder(left))
            shutil.rmtree(left)
    made = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    _lock_folder(made)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _lock_folder(folder: Path) -> int:
    """A descriptor that holds the folder's lock; raises OSError if another process does."""
    file = os.open(folder, os.O_RDONLY)
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _look_often(replaces: bool) -> None:
    """Have Circus look for workers that have ended, for which BentoML has no setting."""
    start = Arbiter.start

    def start_often(self: Arbiter, cb: Callable[[Any], Any] | None = None) -> None:
        self.ctrl.check_delay = REAP_SECONDS * 1000
        for watcher in self.watchers:
            watcher.respawn = replaces
        start(self, cb)

    Arbiter.start = start_often  # type: ignore[method-assign]


def _status(pid: int) -> str | None:
    """As psutil has it; None if there is no such process."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return None
