"""What the C library keeps, in a process of its own: its limits stay for the rest of a process."""

import platform
import subprocess
import sys

import pytest

from tests.paths import ROOT

# A thread takes and frees large pieces, and then one of a usual photo's size again and again. Said
# are the MB by which the process has grown, and the pages that each of the latter had to ask for.
COSTS = """
import resource, sys, threading
import numpy as np
import psutil
from service.runtime.memory import limit_free_memory

if sys.argv[1] == "limited":
    limit_free_memory()
process = psutil.Process()

def faults():
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt

def use():
    np.ones(31 * 2**20, np.uint8)  # from here on glibc takes pieces of this size from its own
    before = process.memory_info().rss
    pieces = [np.ones(20 * 2**20, np.uint8) for _ in range(2)]
    del pieces
    grown = process.memory_info().rss - before
    np.ones(2 * 2**20, np.uint8)
    asked = faults()
    for _ in range(50):
        np.ones(2 * 2**20, np.uint8)
    print(grown / 2**20, (faults() - asked) / 50)

thread = threading.Thread(target=use)
thread.start()
thread.join()
"""

# what the limits are of
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")


def costs(how: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", COSTS, how], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown, asked = map(float, done.stdout.split())
    return grown, asked


def test_what_a_large_photo_leaves_free_is_given_back() -> None:
    assert costs("limited")[0] < 17
    assert costs("left alone")[0] > 17, "or there would be nothing to limit"


def test_a_usual_photo_finds_its_memory_again() -> None:
    assert costs("limited")[1] < 1
