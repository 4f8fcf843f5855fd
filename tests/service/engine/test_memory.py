"""What the C library keeps, in a process of its own: its limits stay for the rest of a process."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# A thread takes and frees 60 MB in pieces that each come from its own memory; then how much the
# process has gained is said, in MB.
GAIN = """
import sys, threading
import psutil
from service.engine.memory import keep_little
import numpy as np

if sys.argv[1] == "limited":
    keep_little()
process = psutil.Process()

def use():
    np.ones(31 * 2**20, np.uint8)  # from here on glibc takes pieces of this size from its own
    global before
    before = process.memory_info().rss
    pieces = [np.ones(20 * 2**20, np.uint8) for _ in range(2)]
    del pieces

thread = threading.Thread(target=use)
thread.start()
thread.join()
print((process.memory_info().rss - before) / 2**20)
"""


def gain(how: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", GAIN, how], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the limits are those of glibc")
def test_what_a_large_photo_leaves_free_is_given_back() -> None:
    assert gain("limited") < 17
    assert gain("left alone") > 17, "or there would be nothing to limit"
