"""What a confined process can still do: tried by one."""

import platform
import subprocess
import sys

import pytest

from service.decoding import sandbox
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

TRY = """
import ctypes, os, socket, sys, threading, time, resource
from service.decoding.sandbox import confine, filter_calls, limit_cpu

def thread():
    one = threading.Thread(target=print)
    one.start()
    one.join()

def spin():
    limit_cpu(0)
    while True:
        pass

ATTEMPTS = {
    "read": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "write": lambda: os.open("/tmp/never", os.O_CREAT | os.O_WRONLY),
    "socket": lambda: socket.socket(),
    "fork": lambda: os.fork(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 9),
    "limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU),
    "memory": lambda: bytearray(2**28),
    "thread": thread,
    "spin": spin,
}
attempt, confined = sys.argv[1:]
filtered = confine(64 * 2**20) if confined == "all" else filter_calls()
if not filtered:
    os._exit(3)
try:
    ATTEMPTS[attempt]()
except (OSError, MemoryError) as error:
    os.write(1, type(error).__name__.encode())
    os._exit(0)
os.write(1, b"done")
os._exit(0)
"""


def attempt(name: str, confined: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", TRY, name, confined],
        cwd=ROOT,
        env={"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    if done.returncode == 3:
        pytest.skip("this kernel filters no system calls")
    return done


@pytest.mark.parametrize("name", ["read", "write", "socket", "fork", "exec", "kill", "limits"])
def test_the_filter_alone_refuses_it(name: str) -> None:
    assert attempt(name, "filter").stdout == "PermissionError"


@pytest.mark.parametrize("name", ["read", "write", "socket"])
def test_the_limits_refuse_it_before_the_filter(name: str) -> None:
    assert attempt(name, "all").stdout in ("PermissionError", "OSError")


def test_memory_has_an_end() -> None:
    assert attempt("memory", "all").stdout == "MemoryError"


def test_a_codec_may_have_threads() -> None:
    assert attempt("thread", "all").stdout.strip() == "done"


def test_work_has_an_end_without_its_parent() -> None:
    assert attempt("spin", "all").returncode < 0


def test_a_processor_of_another_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not sandbox.filter_calls()
