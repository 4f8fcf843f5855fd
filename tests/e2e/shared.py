"""One server for all test processes of a run: a start costs as much as a hundred requests."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.server import Server, running_server


@contextmanager
def shared_server(factory: pytest.TempPathFactory, name: str, **settings: Any) -> Iterator[Server]:
    """The run's server of that name. The process that comes first starts it, and stops it once it
    and all others are done; meanwhile others may be asking it too."""
    folder = run_folder(factory) / name
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "started"  # its process and its address
    # A process that is killed gives its locks up, and nobody waits for it.
    with (folder / "door").open("w") as door, (folder / "users").open("w") as users:
        fcntl.flock(door, fcntl.LOCK_EX)
        is_first = not note.exists()
        with running_server(folder, **settings) if is_first else nullcontext(_of(note)) as server:
            if is_first:
                note.write_text(f"{server.process.pid} {server.url}")
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield server
            if is_first:
                fcntl.flock(door, fcntl.LOCK_EX)  # nobody comes any more
                fcntl.flock(users, fcntl.LOCK_EX)  # nobody is left
                note.unlink()


@contextmanager
def alone(factory: pytest.TempPathFactory, name: str) -> Iterator[None]:
    """Where only one test at a time may use the run's server of that name."""
    with (run_folder(factory) / name / "alone").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder for this run of the tests, the same in each of its processes."""
    own = factory.getbasetemp()
    # not by xdist's variable, which a run that a test starts would inherit
    return (own.parent if own.name.startswith("popen-") else own) / "shared"


def _of(note: Path) -> Server:
    pid, url = note.read_text().split()
    return Server(url, psutil.Process(int(pid)), note.with_name("server.log"))
