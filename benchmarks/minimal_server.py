"""Starts the minimal server, `benchmarks.minimal_app`, in a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.packages import ROOT
from benchmarks.server import Server, running

MINIMAL = "minimal server"
COMMAND = (
    sys.executable,
    *("-m", "uvicorn", "benchmarks.minimal_app:app", "--port", "{port}"),
    *("--lifespan", "off", "--no-access-log", "--log-level", "warning"),
)


@contextmanager
def minimal_server(package: Path, folder: Path) -> Iterator[Server]:
    """The running server, with the package in that folder; its log lies in ``folder``."""
    environment = {"PACKAGE": str(package)}
    with running(MINIMAL, COMMAND, ROOT, environment, "/", folder / "minimal.log") as server:
        yield server
