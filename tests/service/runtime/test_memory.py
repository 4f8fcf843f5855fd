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

# Threads decode large pictures, several at once; said are the MB by which the process has grown.
PICTURES = """
import io, sys, threading
import psutil
from PIL import Image
from service.runtime.memory import limit_free_memory

if sys.argv[1] == "limited":
    limit_free_memory()
buffer = io.BytesIO()
Image.new("RGBA", (4000, 4000)).save(buffer, "PNG")
process = psutil.Process()
before = process.memory_info().rss


def decode():
    Image.open(io.BytesIO(buffer.getvalue())).load()

decode()  # once a block was given back, glibc takes others of its size from its own
threads = [threading.Thread(target=decode) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print((process.memory_info().rss - before) / 2**20, 0)
"""

# what the limits are of
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")


def costs(how: str, script: str = COSTS) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", script, how], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown, asked = map(float, done.stdout.split())
    return grown, asked


def test_what_a_large_photo_leaves_free_is_given_back() -> None:
    assert costs("limited")[0] < 17
    assert costs("left alone")[0] > 17, "or there would be nothing to limit"


def test_a_usual_photo_finds_its_memory_again() -> None:
    assert costs("limited")[1] < 1


def test_what_large_pictures_took_is_given_back() -> None:
    assert costs("limited", PICTURES)[0] < 20
    # how much is kept depends on which threads come together
    left = (costs("left alone", PICTURES)[0] for _ in range(5))
    assert any(grown > 40 for grown in left), "or there would be nothing to limit"
