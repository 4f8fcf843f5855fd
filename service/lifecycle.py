"""The end of a worker: it drains at SIGTERM, so that a stop loses no request."""

import os
import signal
import threading
import time

from service.scoreboard import PHASE, Phase, Scoreboard
from service.telemetry.logs import logger

POLL_SECONDS = 0.02
KILL_SECONDS = 5.0  # after the longest request, for the process to end by itself


class Lifecycle:
    """Which requests are in flight, and whether the worker is about to stop.

    in_flight: requests begun and not yet answered; the middleware adds and discards them.
    draining: from SIGTERM on. The worker goes on answering, but is not ready.
    """

    def __init__(self, board: Scoreboard | None = None) -> None:
        self._board = board or Scoreboard.alone()
        self.in_flight: set[object] = set()
        self.draining = False

    @property
    def is_ready(self) -> bool:
        """Whether the service is: all its workers."""
        return not self.draining and self._board.is_ready

    def begin(self) -> None:
        """From now on this worker is ready."""
        self._board.own[PHASE] = Phase.READY

    def end(self) -> None:
        """From now on nobody waits for this worker."""
        self._board.own[PHASE] = Phase.ENDING

    def drain_on_sigterm(self, seconds: float, longest_request: float) -> None:
        """At SIGTERM stop being ready, go on for ``seconds`` and until the requests that were in
        flight then are answered, and only then let the server stop, which answers the rest.

        A second SIGTERM stops at once. Whatever clients or threads do, the process is killed a
        little later than the ``longest_request`` (seconds) can take after that. Must be called on
        the main thread, once the server has set its own handler.
        """
        stop = signal.getsignal(signal.SIGTERM)

        def begin(number: int, frame: object) -> None:
            if self.draining:
                stop_now()
                return
            self.draining = True
            self._board.own[PHASE] = Phase.DRAINING
            logger.info("SIGTERM: not ready any more, %d requests in flight", len(self.in_flight))
            waiting = set(self.in_flight)
            threading.Thread(target=finish, args=(waiting,), name="drain", daemon=True).start()

        def finish(waiting: set[object]) -> None:
            ends = time.monotonic() + seconds
            last = ends + longest_request
            # not until none at all is in flight: under load that never comes
            while (now := time.monotonic()) < ends or (
                now < last and any(one in self.in_flight for one in waiting)
            ):
                time.sleep(POLL_SECONDS)
            stop_now()
            time.sleep(max(0.0, last - time.monotonic()) + KILL_SECONDS)
            logger.error("SIGTERM: %d requests do not end; killed", len(self.in_flight))
            self.kill()

        def stop_now() -> None:
            if callable(stop):
                stop(signal.SIGTERM, None)

        signal.signal(signal.SIGTERM, begin)

    def kill(self) -> None:
        """The last word: end this process, whatever its threads do."""
        os.kill(os.getpid(), signal.SIGKILL)
