"""Starts `benchmarks.upper_bound` in a process of its own and gives it commands."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.packages import ROOT
from benchmarks.upper_bound import Layout, Speed, layouts, to_command
from service.cpus import available_cpus


class UpperBoundProcess:
    """A running process, idle between its commands."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, layout: Layout, seconds: float, rate: float | None = None) -> Speed:
        """See `Bench.run`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(to_command(layout, seconds, rate) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"benchmarks.upper_bound ended with status {self._process.wait()}"
        return Speed(**json.loads(answer))

    def fastest(self, seconds: float) -> tuple[Layout, Speed]:
        """The layout with the highest throughput; each is tried for ``seconds``."""
        tried = {layout: self.run(layout, seconds) for layout in layouts(available_cpus())}
        return max(tried.items(), key=lambda pair: pair[1].per_second)


@contextmanager
def upper_bound_process(package: Path, photos: Path) -> Iterator[UpperBoundProcess]:
    """For the package in the folder ``package`` and the photos in ``photos``."""
    command = [sys.executable, "-m", "benchmarks.upper_bound", str(package), str(photos)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield UpperBoundProcess(process)
        finally:
            process.communicate()  # the end of its input ends it
