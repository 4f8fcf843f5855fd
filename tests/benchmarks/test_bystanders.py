"""Whose the processors' time was."""

import subprocess
import sys

import psutil

from benchmarks.bystanders import Watch

SPIN = "import time\nend = time.perf_counter() + 0.6\nwhile time.perf_counter() < end: pass"


def test_what_was_started_and_ended_is_no_bystander() -> None:
    """The machine may be busy with other things, so a share is compared with another."""
    watch = Watch()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    ours = watch.others()

    watch = Watch()
    process = subprocess.Popen(
        [sys.executable, "-c", SPIN + "\nprint()\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    theirs, told = watch.others(), watch.others(server_seconds=1e6)
    process.communicate(b"\n")
    assert 0 <= ours <= theirs <= 1
    assert theirs * (psutil.cpu_count() or 1) > 0.2  # processors
    assert told == 0
