"""A package in a process of its own answers as it does here, and its end is its own affair."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.inference import isolated
from service.inference.isolated import PackageProcess, ProcessEnded
from service.package import PackageError, open_package
from service.runtime.sessions import Device
from tests.export.small import SPEC, small_package
from tests.packages import break_graph, copy_package
from tests.paths import ROOT

IMAGES = {"images": np.full((1, SPEC.height, SPEC.width, 3), 100, np.uint8)}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_package(tmp_path_factory.mktemp("store"), "small")


@pytest.fixture
def process(package: Path) -> Iterator[PackageProcess]:
    opened = PackageProcess(package, Device(latency_threads=2), runs=2)
    yield opened
    opened.close()


def pid_of(process: PackageProcess) -> int:
    return process._process.pid


def test_it_answers_as_the_package_does_here(process: PackageProcess, package: Path) -> None:
    here = open_package(package)
    assert process.manifest == here.manifest
    for alone in (False, True):
        found = process.run(IMAGES, alone=alone)["probabilities"]
        np.testing.assert_allclose(found, here.run(IMAGES)["probabilities"], atol=1e-6)
    assert process.opened.provider == "cpu"
    assert process.opened.has_latency_session
    assert process.memory_bytes > 10_000_000


def test_what_a_run_raises_ends_nothing(process: PackageProcess) -> None:
    with pytest.raises(RuntimeError, match="images"):
        process.run({"images": np.zeros((1, 5, 5, 3), np.uint8)})
    assert process.run(IMAGES)
    assert process.fault is None


def test_a_crash_is_told_at_once(process: PackageProcess) -> None:
    os.kill(pid_of(process), signal.SIGSEGV)
    with pytest.raises(ProcessEnded, match="SIGSEGV"):
        process.run(IMAGES)
    assert process.fault is not None
    began = time.monotonic()
    with pytest.raises(ProcessEnded, match="SIGSEGV"):
        process.run(IMAGES)
    assert time.monotonic() - began < 1


def test_what_hangs_is_killed(process: PackageProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "HANG_SECONDS", 0.1)
    monkeypatch.setattr(isolated, "HANG_FACTOR", 0)
    process.run(IMAGES)
    os.kill(pid_of(process), signal.SIGSTOP)
    with pytest.raises(ProcessEnded, match="had not ended after 0 s"):
        process.run(IMAGES)
    assert "had not ended" in (process.fault or "")
    assert process._process.poll() == -signal.SIGKILL


def test_it_has_bounded_memory_and_goes_first(process: PackageProcess) -> None:
    proc = Path("/proc") / str(pid_of(process))
    assert (proc / "oom_score_adj").read_text().strip() == "1000"
    limits = (proc / "limits").read_text()
    (row,) = [line for line in limits.splitlines() if line.startswith("Max data size")]
    assert "unlimited" not in row


def test_a_stop_of_all_processes_is_no_fault_of_the_package(process: PackageProcess) -> None:
    """Such as by a supervisor: the worker still answers, and ends it when it ends itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid_of(process), number)
    assert process.run(IMAGES)
    assert process.fault is None


def test_a_shadow_has_what_others_leave(package: Path) -> None:
    process = PackageProcess(package, Device(), trial="shadow")
    try:
        assert os.getpriority(os.PRIO_PROCESS, pid_of(process)) == isolated.YIELDING_NICENESS
    finally:
        process.close()


def test_closing_is_no_fault(process: PackageProcess) -> None:
    process.close()
    with pytest.raises(ProcessEnded, match="closed"):
        process.run(IMAGES)
    assert process.fault is None


def test_an_unfit_package_is_refused(package: Path, tmp_path: Path) -> None:
    unfit = copy_package(package, tmp_path, "pets", 1)
    break_graph(unfit)
    with pytest.raises(PackageError, match="sha256"):
        PackageProcess(unfit, Device())


def test_memory_past_its_share_is_refused() -> None:
    """To the process alone, which may go on or end."""
    script = (
        "from service.inference import isolated\n"
        "isolated.MEMORY_SHARE = 300e6 / isolated.available_memory()\n"
        "isolated._confine(yields=False)\n"
        "bytearray(50_000_000)\n"
        "bytearray(500_000_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
    assert "line 5" in done.stderr, "what is within its share is given"
