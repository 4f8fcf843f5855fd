"""Starts the load generator in a process of its own and reads its outcomes."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.load import Outcome, Plan

ROOT = Path(__file__).resolve().parent.parent


class LoadProcess:
    """A running load. ``began``: its start, by `time.monotonic`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._outcomes = folder / "outcomes.jsonl"
        path = folder / "plan.json"
        path.write_text(json.dumps(asdict(plan)))
        with self._outcomes.open("wb") as outcomes:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.load", path],
                cwd=ROOT,
                stdout=outcomes,
                stderr=subprocess.PIPE,
            )
        assert self.process.stderr is not None
        assert self.process.stderr.readline() == b"started\n"
        self.began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def stop(self) -> None:
        """Send no more requests; the answers to those sent are still awaited."""
        self.process.send_signal(signal.SIGINT)

    def outcomes(self) -> list[Outcome]:
        """Of all requests, in the order of their ends; waits for the end of the load."""
        _, errors = self.process.communicate()
        assert self.process.returncode == 0, errors.decode()
        with self._outcomes.open() as lines:
            return [Outcome(**json.loads(line)) for line in lines]


def run_load(plan: Plan, folder: Path) -> list[Outcome]:
    """Run the whole load; its outcomes."""
    return LoadProcess(plan, folder).outcomes()
