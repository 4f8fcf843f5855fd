"""Ctrl-C and the other signals to end, taken only where nothing is half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last one


class Interrupted(KeyboardInterrupt):
    """The command was told to end. ``status`` is the exit status that shells expect then.

    Only a KeyboardInterrupt gets out of whatever an event loop runs.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


class Interruptions:
    """While entered, a signal to end raises Interrupted, but only once: handling it is not
    interrupted again."""

    def __init__(self) -> None:
        self._shielded = False
        self._received: int | None = None
        self._raised = False

    def __enter__(self) -> Interruptions:
        signals = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        self._before = {number: signal.signal(number, self._take) for number in signals}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let the block finish first."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        self._raise()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._received = self._received or number
        if not self._shielded:
            self._raise()

    def _raise(self) -> None:
        if self._received is not None and not self._raised:
            self._raised = True
            raise Interrupted(self._received)
