"""The service answers as its OpenAPI description says: no other status, body or type."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import Server
from tests.paths import ROOT
from tests.soak.results import length, record

EXAMPLES = int(length("EXAMPLES", 200))  # of each way to ask each route
CONFIG = Path(__file__).parent / "schemathesis.toml"


@pytest.mark.parametrize(
    ("examples", "phases"),
    [
        pytest.param(5, "fuzzing", marks=pytest.mark.full, id="few"),
        pytest.param(EXAMPLES, "coverage,fuzzing", marks=pytest.mark.soak, id="many"),
    ],
)
def test_description_is_true(server: Server, examples: int, phases: str, tmp_path: Path) -> None:
    """schemathesis sends requests that match the description, and variations of them."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIG, "run"]
    options = ["--max-examples", str(examples), "--phases", phases, "--seed", "1"]
    done = subprocess.run(
        [*command, f"{server.url}/docs.json", *options],
        cwd=tmp_path,  # where schemathesis leaves what it learns
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    (cases,) = (line for line in done.stdout.splitlines() if " generated" in line)
    record("openapi", examples=examples, cases=cases.strip())
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Traceback" not in server.log.read_text()
