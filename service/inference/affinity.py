"""A processor for each of the runs that go side by side.

A thread that wakes is put where the scheduler sees room at that moment, and threads that run Python
wait for each other and wake at every turn of the interpreter's lock. So two runs come to share a
processor while another has nothing to do, for milliseconds at a time. Runs that keep their own do
not (docs/operations.md).
"""

import contextlib
import os
import threading
from collections.abc import Collection, Iterator


class CorePool:
    """Processors, each held by one thread at most.

    A thread stays bound to its last one when its run is over, since it mostly has it again.
    """

    def __init__(self, processors: Collection[int]) -> None:
        self._processors = frozenset(processors)
        self._free = set(processors)
        self._lock = threading.Lock()
        self._here = threading.local()

    def __len__(self) -> int:
        return len(self._processors)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the calling thread on a processor of its own; if there is none left, it goes where
        it likes."""
        seat = self._take()
        self._bind(seat)
        try:
            yield
        finally:
            if seat is not None:
                with self._lock:
                    self._free.add(seat)

    def leave(self) -> None:
        """Let the calling thread go where it likes."""
        self._bind(None)

    def _take(self) -> int | None:
        with self._lock:
            if not self._free:
                return None
            seat = self._bound if self._bound in self._free else min(self._free)
            self._free.remove(seat)
            return seat

    @property
    def _bound(self) -> int | None:
        """The processor that the calling thread is bound to."""
        return getattr(self._here, "bound", None)

    def _bind(self, seat: int | None) -> None:
        if seat == self._bound:
            return
        with contextlib.suppress(OSError):  # what a container forbids is left to the scheduler
            os.sched_setaffinity(0, self._processors if seat is None else {seat})
            self._here.bound = seat
