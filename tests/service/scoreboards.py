"""The scoreboards of several workers in one test process."""

import os

import pytest

from service.scoreboard import Scoreboard


def scoreboards(workers: int, monkeypatch: pytest.MonkeyPatch) -> list[Scoreboard]:
    """As each worker of a service sees what they share."""
    monkeypatch.setenv("_BOXPORT_SCOREBOARD", "")  # and put back after the test
    supervisor = Scoreboard.create(workers)
    monkeypatch.setattr(os, "getppid", os.getpid)
    joined = [Scoreboard.join(number) for number in range(1, workers + 1)]
    for board in joined:
        board.enter()
    supervisor.enter()
    return joined
