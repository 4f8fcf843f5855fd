"""The share of other processes in the processors' time."""

import subprocess
import sys

import psutil

from benchmarks.background_load import BackgroundLoad

SPIN = "import time\nend = time.perf_counter() + 0.6\nwhile time.perf_counter() < end: pass"


def test_ended_children_do_not_count_as_background_load() -> None:
    """The machine may be busy with other work, so one share is compared with another."""
    background = BackgroundLoad()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    ours = background.share()

    background = BackgroundLoad()
    process = subprocess.Popen(
        [sys.executable, "-c", SPIN + "\nprint()\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    theirs, told = background.share(), background.share(server_seconds=1e6)
    process.communicate(b"\n")
    assert 0 <= ours <= theirs <= 1
    assert theirs * (psutil.cpu_count() or 1) > 0.2  # processors
    assert told == 0
