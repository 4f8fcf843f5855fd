"""What the processes of a service count and hold, in one shared mapping: a row of cells for each.

    header │ names of the cells │ the operators' orders │ the common row │ a row for each process

A process writes into its own row alone, so counting takes no lock, and whoever is asked adds up
all rows. What a process has counted stays in its row: the next one in its place goes on from there.
What it held, its gauges, is cleared once it has ended. A cell is 8 bytes, written at once, so a
process that is killed leaves the old number or the new one.

The process that starts the workers makes the mapping, in memory that no file system holds, and
names it in the environment. It does without the libraries that workers need, and so does this.
"""

import json
import mmap
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path
from typing import Any, TypeAlias

VARIABLE = "_BOXPORT_SCOREBOARD"
CELL = 8
HEADER, TEXT, ORDERS = 4096, 16 * 2**20, 2 * 2**20  # bytes; what is not written takes no memory
CELLS = 2**18  # of a row
USED_TEXT, CHANGES, ORDERS_AT = range(3)  # of the header
SECRET = slice(64, 80)  # of its bytes
PID, PHASE, BEAT, FOLLOWED = range(4)  # the first cells of every row
COMMON, FIRST = 0, 1  # rows

Key = tuple[str, ...]
Row: TypeAlias = "memoryview[float]"


class Phase(IntEnum):
    """Of a worker."""

    STARTING = 0
    READY = 1
    DRAINING = 2
    ENDING = 3


class Scoreboard:
    """As one process sees it; may be used from any thread.

    own: the cells of this process. common: those that any process may write while it holds `lock`.
    shared: whether there are other processes.
    folder: for files that they share, if they have one.
    """

    def __init__(self, file: int | None, rows: int, row: int, folder: Path | None = None) -> None:
        """``file``: a descriptor of the mapping; None for one that nobody else sees."""
        self.folder = folder
        self._file = file
        self._mapping = mmap.mmap(-1 if file is None else file, _size(rows))
        self._header = memoryview(self._mapping)[:HEADER].cast("q")
        start = HEADER + TEXT + ORDERS
        cells = memoryview(self._mapping)[start:].cast("d")
        self.rows = [cells[i * CELLS : (i + 1) * CELLS] for i in range(rows)]
        self.common, self.own = self.rows[COMMON], self.rows[row]
        self._cells: dict[str, dict[Key, int]] = {}  # places, by name and labels
        self._gauges: list[int] = []
        self._known, self._next = 0, FOLLOWED + 1  # bytes of the names that were read, a free cell
        self._lock, self._locked = threading.RLock(), False

    @classmethod
    def alone(cls) -> "Scoreboard":
        """Of a service that is this process."""
        return cls(None, FIRST + 1, FIRST)._begun()

    @classmethod
    def create(cls, workers: int, folder: Path | None = None) -> "Scoreboard":
        """For this process, whose row is the last, and ``workers`` that it will start.

        A worker may be started before the one that it replaces is gone.
        """
        rows = FIRST + 2 * workers + 1
        if hasattr(os, "memfd_create"):  # Linux
            file = os.memfd_create("boxport")
            path = f"/proc/{os.getpid()}/fd/{file}"
        else:
            file, path = tempfile.mkstemp(prefix="boxport-")
        os.ftruncate(file, _size(rows))
        os.environ[VARIABLE] = f"{os.getpid()}:{path}:{folder or ''}"
        return cls(file, rows, rows - 1, folder)._begun()

    @classmethod
    def join(cls, worker: int) -> "Scoreboard":
        """That of the service whose process has started this one, as its ``worker`` of a number
        from 1; one of its own if there is none."""
        parent, path, folder = (os.environ.get(VARIABLE) or "::").split(":", 2)
        if parent != str(os.getppid()):
            return cls.alone()
        file = os.open(path, os.O_RDWR)
        size = os.fstat(file).st_size
        rows = (size - _size(0)) // (CELLS * CELL)
        return cls(file, rows, COMMON + worker, Path(folder) if folder else None)

    def _begun(self) -> "Scoreboard":
        self._mapping[SECRET] = os.urandom(SECRET.stop - SECRET.start)
        return self

    @property
    def shared(self) -> bool:
        return self._file is not None

    @property
    def secret(self) -> bytes:
        """What nobody outside of the service can know."""
        return self._mapping[SECRET]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep all other threads and processes out; the system opens it if this one ends."""
        with self._lock:
            outermost, self._locked = not self._locked, True
            if outermost and self._file is not None:
                flock(self._file, LOCK_EX)
            try:
                yield
            finally:
                if outermost:
                    self._locked = False
                    if self._file is not None:
                        flock(self._file, LOCK_UN)

    # -- cells

    def cells(self, name: str, labels: Key = (), number: int = 1, *, gauge: bool = False) -> int:
        """The place, in every row, of ``number`` cells, which are 0 at first."""
        found = self._cells.get(name, {}).get(labels)
        if found is None:
            with self.lock():
                self._read_names()
                found = self._cells.get(name, {}).get(labels)
                if found is None:
                    self._add_name([name, labels, number, gauge])
                    found = self._cells[name][labels]
        return found

    def find(self, name: str) -> list[tuple[Key, int]]:
        """The labels and the place of all cells called ``name``."""
        self._learn()
        return list(self._cells.get(name, {}).items())

    def sums(self, place: int, number: int = 1) -> list[float]:
        """Those of all processes, those that have ended too."""
        return [sum(column) for column in zip(*self.values(place, number), strict=True)]

    def total(self, place: int) -> float:
        return sum([row[place] for row in self.used])

    def values(self, place: int, number: int) -> list[list[float]]:
        """Of each process."""
        return [list(row[place : place + number]) for row in self.used]

    @property
    def used(self) -> list[Row]:
        """The rows of all processes that there have been."""
        return [row for row in self.rows[FIRST:] if row[PID]] or [self.own]

    def _learn(self) -> None:
        """Know what others have added."""
        if self._known < self._header[USED_TEXT]:
            with self.lock():
                self._read_names()

    def _add_name(self, record: list[Any]) -> None:
        text = json.dumps(record).encode() + b"\n"
        used, start = self._header[USED_TEXT], HEADER
        if used + len(text) > TEXT or self._next + record[2] > CELLS:
            raise MemoryError("the scoreboard is full")
        self._mapping[start + used : start + used + len(text)] = text
        self._header[USED_TEXT] = used + len(text)  # not before it is there
        self._read_names()

    def _read_names(self) -> None:
        """As `_learn`, while the lock is held."""
        end = self._header[USED_TEXT]
        for line in self._mapping[HEADER + self._known : HEADER + end].splitlines():
            name, labels, number, gauge = json.loads(line)
            place = self._next
            self._cells.setdefault(name, {})[tuple(labels)] = place
            if gauge:
                self._gauges.extend(range(place, place + number))
            self._next += number
        self._known = end

    # -- processes

    def enter(self) -> None:
        """Take this process's row over from the one before."""
        self.clear(self.own)
        self.own[PID], self.own[BEAT] = os.getpid(), time.monotonic()

    def clear(self, row: Row) -> None:
        """Forget what a process held that has ended."""
        self._learn()
        for place in self._gauges:
            row[place] = 0.0
        row[PHASE] = row[BEAT] = row[FOLLOWED] = 0.0

    @property
    def workers(self) -> list[Row]:
        """The rows of workers, of which half are for those that replace others."""
        return self.rows[FIRST:-1] if self.shared else [self.own]

    @property
    def expected(self) -> int:
        """The workers that there are to be."""
        return max(1, len(self.workers) // 2)

    @property
    def is_ready(self) -> bool:
        """Whether as many workers are ready as there are to be."""
        ready = sum(row[PHASE] == Phase.READY for row in self.workers)
        return not self.shared or ready >= self.expected

    # -- what operators have asked for

    @property
    def changes(self) -> int:
        """How often `change` was called."""
        return self._header[CHANGES]

    def is_followed(self, number: int) -> bool:
        """Whether every worker that is ready has followed the change of that ``number``."""
        ready = [row for row in self.workers if row[PHASE] == Phase.READY]
        return all(row[FOLLOWED] >= number for row in ready)

    def read(self) -> dict[str, Any]:
        """What all processes know of the operators' orders; empty at first."""
        with self.lock():
            return self._read()

    def change(self, change: Callable[[dict[str, Any], int], object]) -> int:
        """Have ``change`` alter what `read` gives; the number of this change, which it is told."""
        with self.lock():
            found, number = self._read(), self.changes + 1
            change(found, number)
            text = json.dumps(found).encode()
            if len(text) > ORDERS // 2:
                raise MemoryError("too many orders")
            # the other half is what holds if this process is killed meanwhile
            half = 0 if self._header[ORDERS_AT] >> 32 else ORDERS // 2
            start = HEADER + TEXT + half
            self._mapping[start : start + len(text)] = text
            self._header[ORDERS_AT] = half << 32 | len(text)
            self._header[CHANGES] = number
        return number

    def _read(self) -> dict[str, Any]:
        half, size = divmod(self._header[ORDERS_AT], 2**32)
        start = HEADER + TEXT + half
        found: dict[str, Any] = json.loads(self._mapping[start : start + size]) if size else {}
        return found


def _size(rows: int) -> int:
    return HEADER + TEXT + ORDERS + rows * CELLS * CELL
