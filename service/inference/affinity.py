"""On which processors the threads of a model run."""

import contextlib
import os
import threading
from collections.abc import Collection, Iterator


class CorePool:
    """Processors, each held by one thread at most.

    The scheduler puts a thread that wakes where it sees room at that moment, and threads that run
    Python wake at every turn of the interpreter's lock. So two runs come to share a processor while
    another is idle, for milliseconds at a time. Pinned runs do not (docs/operations.md).

    A thread stays bound to its last processor when its run is over, since it mostly gets it again.
    """

    def __init__(self, processors: Collection[int]) -> None:
        self._processors = frozenset(processors)
        self._free = set(processors)
        self._lock = threading.Lock()
        self._thread = threading.local()

    def __len__(self) -> int:
        return len(self._processors)

    @contextlib.contextmanager
    def hold(self, *, pin: bool = True) -> Iterator[None]:
        """Pin the calling thread to a processor of its own; without ``pin``, or if none is left,
        let it run on any."""
        core = self._take() if pin else None
        self._bind(core)
        try:
            yield
        finally:
            if core is not None:
                with self._lock:
                    self._free.add(core)

    def _take(self) -> int | None:
        with self._lock:
            if not self._free:
                return None
            core = self._bound if self._bound in self._free else min(self._free)
            self._free.remove(core)
            return core

    @property
    def _bound(self) -> int | None:
        """The processor that the calling thread is bound to."""
        return getattr(self._thread, "bound", None)

    def _bind(self, core: int | None) -> None:
        if core == self._bound:
            return
        with contextlib.suppress(OSError):  # what a container forbids is left to the scheduler
            os.sched_setaffinity(0, self._processors if core is None else {core})
            self._thread.bound = core
