"""`--help` is quick: no command imports PyTorch, or what else takes long, before it runs."""

import json
import subprocess
import sys

import pytest

from tests.paths import ROOT

SLOW = {"torch", "onnx", "onnxruntime", "onnxscript", "numpy", "PIL", "pycocotools", "matplotlib"}

# every command of an application, and the list of architectures, in one process
CALLS = """
import json, sys
from importlib import import_module
from typer.testing import CliRunner

app = import_module(sys.argv[1]).app
names = [command.name or command.callback.__name__ for command in app.registered_commands]
calls = [["--help"], *([name, "--help"] for name in names if len(names) > 1)]
if sys.argv[1] == "models.__main__":
    calls.append([])
for call in calls:
    outcome = CliRunner().invoke(app, call)
    assert outcome.exit_code == 0, outcome.output
print(json.dumps([len(calls), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    ("application", "calls"), [("export", 7), ("models", 2), ("models.training", 3)]
)
def test_help_imports_nothing_that_takes_long(application: str, calls: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLS, f"{application}.__main__"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made, modules = json.loads(done.stdout)
    assert made >= calls
    assert SLOW & set(modules) == set()
