"""Running the load generator beside a test."""

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.server import ROOT, Server
from tests.soak.load import Outcome, Plan, Shot


class Firing:
    """A load that is under way. ``began``: when, by `time.monotonic`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._outcomes = folder / "outcomes.jsonl"
        path = folder / "plan.json"
        path.write_text(json.dumps(asdict(plan)))
        with self._outcomes.open("wb") as outcomes:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.load", path],
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


def port_of(server: Server) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def photo_shots(photos: Path, path: str, **headers: str) -> list[Shot]:
    """Each sample photo as a raw body."""
    return [
        Shot(
            photo.stem,
            "POST",
            path,
            {"Content-Type": "image/jpeg", **headers},
            base64.b64encode(photo.read_bytes()).decode(),
        )
        for photo in sorted(photos.glob("*.jpg"))
    ]


def per_second(outcomes: Sequence[Outcome]) -> float:
    """Answers a second."""
    answered = [outcome for outcome in outcomes if outcome.status == 200]
    return len(answered) / max(outcome.ended for outcome in outcomes)
