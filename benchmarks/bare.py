"""The bare server's process, seen from the one that measures it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.packages import ROOT
from benchmarks.server import Server, running

BARE = "bare server"
COMMAND = (
    sys.executable,
    *("-m", "uvicorn", "benchmarks.bare_app:app", "--port", "{port}"),
    *("--lifespan", "off", "--no-access-log", "--log-level", "warning"),
)


@contextmanager
def bare_server(package: Path, folder: Path) -> Iterator[Server]:
    """A running one with the package of that folder; its log lies in ``folder``."""
    environment = {"PACKAGE": str(package)}
    with running(BARE, COMMAND, ROOT, environment, "/", folder / "bare.log") as server:
        yield server
