"""The load generator's process, seen from the one that asks for it."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.load import Outcome, Plan

ROOT = Path(__file__).resolve().parent.parent


class Firing:
    """A load that is under way. ``began``: when, by `time.monotonic`."""

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
        assert self.process.stderr.readline() == b"firing\n"
        self.began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def stop(self) -> None:
        """Send no more; what has been sent is waited for."""
        self.process.send_signal(signal.SIGINT)

    def outcomes(self) -> list[Outcome]:
        """Of all requests, once the load is over, in the order of their ends."""
        _, complaint = self.process.communicate()
        assert self.process.returncode == 0, complaint.decode()
        with self._outcomes.open() as lines:
            return [Outcome(**json.loads(line)) for line in lines]


def fire(plan: Plan, folder: Path) -> list[Outcome]:
    """The whole load, from its beginning to its end."""
    return Firing(plan, folder).outcomes()
