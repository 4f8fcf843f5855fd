"""A worker whose loop or run stands still tells so, and ends; one that works is left alone."""

import asyncio
import signal
import subprocess
import sys
import time

import pytest

from service.watchdog import Watchdog
from tests.paths import ROOT

WORKER = """
import asyncio, sys, time
from service import watchdog
from service.lifecycle import Lifecycle

watchdog.LOOK_SECONDS = 0.05
stuck = sys.argv[1]

async def work():
    Lifecycle().drain_on_sigterm(0, 0)
    began = time.monotonic()
    dog = watchdog.Watchdog(lambda: time.monotonic() - began if stuck == "run" else 0.0, 1.0)
    dog.start()
    await asyncio.sleep(0.2)
    print(dog.fault, flush=True)
    if stuck == "loop":
        time.sleep(30)
    await asyncio.sleep(2)
    dog.stop()

asyncio.run(work())
"""


@pytest.mark.parametrize(
    ("stuck", "status", "said"),
    [
        ("loop", -signal.SIGKILL, "the event loop stands still"),
        ("run", -signal.SIGTERM, "a run has not ended"),
        ("nothing", 0, ""),
    ],
)
def test_what_stands_still_is_ended(stuck: str, status: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, stuck], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "None\n"
    assert said in done.stderr
    assert done.returncode in (status, -signal.SIGKILL if stuck != "nothing" else 0)


def test_a_long_run_is_told_while_it_lasts() -> None:
    seconds = [0.0]

    async def look() -> list[str | None]:
        dog = Watchdog(lambda: seconds[0], 10.0)
        dog.start()
        told = []
        for seconds[0] in (9.0, 11.0, 0.0):
            told.append(dog.fault)
        dog.stop()
        return told

    assert asyncio.run(look()) == [None, "a run has not ended in 10 s", None]


def test_it_costs_nothing_once_stopped() -> None:
    async def use() -> Watchdog:
        dog = Watchdog(lambda: 0.0, 10.0)
        dog.start()
        dog.stop()
        return dog

    dog = asyncio.run(use())
    deadline = time.monotonic() + 30
    while dog._thread.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)
