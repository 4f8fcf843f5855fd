"""What the process of a decoder has, and when it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from service.decoding import pool as pools
from service.decoding.pool import DecoderPool
from service.imaging.images import DecodeOptions
from tests.paths import ROOT
from tests.service.decoding.decoders import decoders, file_of, let_in, servers

pytestmark = pytest.mark.skipif(not pools.IS_POSSIBLE, reason="needs Linux")


def test_the_kernel_ends_a_decoder_before_the_service_where_memory_ends(pool: DecoderPool) -> None:
    (decoder,) = decoders()
    own, its = (
        int(Path(f"/proc/{number}/oom_score_adj").read_text())
        for number in (os.getpid(), decoder.pid)
    )
    assert its == 1000 >= own


def test_a_decoder_holds_nothing_of_the_service(pool: DecoderPool, options: DecodeOptions) -> None:
    pool.decode(file_of("PNG"), options, 30, let_in)
    (server,), (decoder,) = servers(), decoders()
    assert server.num_threads() == 1, "else it could not fork"
    assert decoder.num_fds() == 5  # of which three are /dev/null and the socket of no one else
    libraries = Path(f"/proc/{server.pid}/maps").read_text()
    assert "onnxruntime" not in libraries
    assert set(server.environ()) <= {
        "PYTHONPATH", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "LD_LIBRARY_PATH", "LC_CTYPE"
    }  # fmt: skip
    assert decoder.nice() >= 5


PARENT = """
import sys, time
from service.decoding.pool import DecoderPool
pool = DecoderPool(("PNG",), 2**30, 1, print)
pool.start()
print("up", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("stopped", [False, True], ids=["idle", "hanging"])
def test_no_decoder_outlives_its_service(number: signal.Signals, stopped: bool) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    left = [*servers(parent.pid), *decoders(parent.pid)]
    assert len(left) == 2
    if stopped:
        left[1].send_signal(signal.SIGSTOP)
    if number == signal.SIGTERM:
        os.killpg(parent.pid, number)  # as a supervisor does; decoders go on until it has drained
    else:
        parent.kill()
    parent.communicate()
    assert not psutil.wait_procs(left, timeout=10)[1]
