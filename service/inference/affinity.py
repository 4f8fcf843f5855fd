"""On which processors the threads of a model run."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Collection, Iterator
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path


class CoreLocks:
    """Which processors are held in any service of this machine, by a lock on a file for each in
    ``folder``; the system opens those of a process that ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, int] = {}

    @classmethod
    def of_machine(cls) -> "CoreLocks":
        """Of all services of this user that have the same folder for temporary files."""
        return cls(Path(tempfile.gettempdir()) / f"boxport-processors-{os.getuid()}")

    def take(self, core: int) -> bool:
        """Whether no other service holds it; True too where the system does not say."""
        try:
            if core not in self._files:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                self._files[core] = os.open(self._folder / str(core), flags, 0o600)
            flock(self._files[core], LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def give_back(self, core: int) -> None:
        with contextlib.suppress(OSError, KeyError):
            flock(self._files[core], LOCK_UN)


class CorePool:
    """Processors, each held by one thread at most; of all services, if there are ``locks``.

    The scheduler puts a thread that wakes where it sees room at that moment, and threads that run
    Python wake at every turn of the interpreter's lock. So two runs come to share a processor while
    another is idle, for milliseconds at a time. Pinned runs do not (docs/operations.md).

    A thread stays bound to its last processor when its run is over, since it mostly gets it again.
    """

    def __init__(self, processors: Collection[int], locks: CoreLocks | None = None) -> None:
        self._processors, self._locks = frozenset(processors), locks
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
                    if self._locks is not None:
                        self._locks.give_back(core)

    def _take(self) -> int | None:
        with self._lock:
            for core in sorted(self._free, key=lambda core: (core != self._bound, core)):
                if self._locks is None or self._locks.take(core):
                    self._free.remove(core)
                    return core
            return None

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
