"""Ctrl-C, and the other ways to be told to end, at moments when nothing is half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has not the last


class Interrupted(KeyboardInterrupt):
    """The command was told to end. ``status`` is what shells expect of it then.

    An event loop lets no other kind of exception out of whatever it runs.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


class Interruptions:
    """While entered, signals to end raise Interrupted, once: whatever is done about it is not
    interrupted again."""

    def __init__(self) -> None:
        self._shielded = False
        self._came: int | None = None
        self._raised = False

    def __enter__(self) -> Interruptions:
        signals = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        self._before = {number: signal.signal(number, self._take) for number in signals}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """What is inside is finished first."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        self._raise()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._came = self._came or number
        if not self._shielded:
            self._raise()

    def _raise(self) -> None:
        if self._came is not None and not self._raised:
            self._raised = True
            raise Interrupted(self._came)
