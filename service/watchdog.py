"""Whether a worker still works, and its end if it does not, so that its supervisor starts another.

Two things can stop it without ending it: an event loop that stands still, and a run or a decoder
that never comes back, such as in a fault of native code.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

from service.telemetry.logs import logger

LOOK_SECONDS = 1.0
BEAT_SECONDS = 0.25


class Watchdog:
    """Looks after the worker of this process from a thread of its own.

    longest_run: seconds since the oldest batch that still runs has begun.
    limit: seconds after which a run, or the event loop, is taken to stand still.
    on_beat: hears, with the time, that the loop goes on.
    """

    def __init__(
        self,
        longest_run: Callable[[], float],
        limit: float,
        on_beat: Callable[[float], None] = lambda now: None,
    ) -> None:
        self._longest_run, self._limit, self._on_beat = longest_run, limit, on_beat
        self._beaten = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look; on the event loop that is looked after."""
        self._beat(asyncio.get_running_loop())
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    @property
    def fault(self) -> str | None:
        """What stands still; None while all goes on."""
        if time.monotonic() - self._beaten > self._limit:
            return f"the event loop stands still for {self._limit:g} s"
        if self._longest_run() > self._limit:
            return f"a run has not ended in {self._limit:g} s"
        return None

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beaten = time.monotonic()
        self._on_beat(self._beaten)
        if not self._ended.is_set():
            loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if (fault := self.fault) is not None:
                logger.critical("%s: the worker ends itself", fault)
                # others are still answered, where the loop goes on; the drain's last word is a kill
                os.kill(os.getpid(), signal.SIGTERM)
                self._ended.wait(self._limit)
                os.kill(os.getpid(), signal.SIGKILL)
