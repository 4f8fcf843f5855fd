"""A worker that is told to stop answers whoever was there, and not for ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from service.lifecycle import Lifecycle
from tests.paths import ROOT


class Spared(Lifecycle):
    """Its process goes on to other tests."""

    def kill(self) -> None:
        pass


@pytest.fixture
def stopped() -> Iterator[threading.Event]:
    """Set once the server's own handler of SIGTERM is called."""
    called = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: called.set())
    yield called
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_waits_for_requests_that_were_in_flight(stopped: threading.Event) -> None:
    lifecycle, early, late = Spared(), object(), object()
    lifecycle.drain_on_sigterm(0, 60)
    lifecycle.in_flight.add(early)
    assert not lifecycle.draining
    terminate()
    assert lifecycle.draining
    lifecycle.in_flight.add(late)
    assert not stopped.wait(0.1)
    lifecycle.in_flight.discard(early)
    assert stopped.wait(5), "those that came later are the server's own to wait for"


def test_it_goes_on_for_as_long_as_it_is_told(stopped: threading.Event) -> None:
    lifecycle, started = Spared(), time.monotonic()
    lifecycle.drain_on_sigterm(0.2, 60)
    terminate()
    assert stopped.wait(5)
    assert time.monotonic() - started >= 0.2


def test_a_second_signal_stops_at_once(stopped: threading.Event) -> None:
    lifecycle = Spared()
    lifecycle.drain_on_sigterm(600, 60)
    lifecycle.in_flight.add(object())
    terminate()
    terminate()
    assert stopped.is_set()


STUCK = """
import signal, time
from service import lifecycle

lifecycle.KILL_SECONDS = 0.1
signal.signal(signal.SIGTERM, lambda *_: print("stopped", flush=True))
worker = lifecycle.Lifecycle()
worker.in_flight.add(object())
worker.drain_on_sigterm(0, 0.2)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def test_what_never_ends_is_killed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"stopped\n"
        assert process.wait(10) == -signal.SIGKILL
