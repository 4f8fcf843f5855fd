"""The limit's process, seen from the one that gives it orders."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.limit import Layout, Speed, layouts, to_order
from benchmarks.packages import ROOT
from service.cpus import available_cpus


class LimitProcess:
    """A running one. It does nothing between its orders."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, layout: Layout, seconds: float, rate: float | None = None) -> Speed:
        """See `Bench.run`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(to_order(layout, seconds, rate) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the limit's process ended with {self._process.wait()}"
        return Speed(**json.loads(answer))

    def fastest(self, seconds: float) -> tuple[Layout, Speed]:
        """The layout with the highest throughput; each is tried for so many seconds."""
        tried = {layout: self.run(layout, seconds) for layout in layouts(available_cpus())}
        return max(tried.items(), key=lambda pair: pair[1].per_second)


@contextmanager
def limit_process(package: Path, photos: Path) -> Iterator[LimitProcess]:
    """With the package and the photos in these folders."""
    command = [sys.executable, "-m", "benchmarks.limit", str(package), str(photos)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield LimitProcess(process)
        finally:
            process.communicate()  # no more orders: it ends
