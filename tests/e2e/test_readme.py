"""What the README says is what happens: its commands and code are run as they are printed."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import README, block_with, blocks
from tests.e2e.server import STOP_SECONDS, Server, free_port, wait_until_ready
from tests.paths import ROOT

PRINTED_URL = "http://localhost:3000"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The README's first command, on a port of its own."""
    folder = tmp_path_factory.mktemp("readme")
    port = free_port()
    (command,) = [block.strip() for block in blocks(README, "sh") if block.startswith("make serve")]
    assert command == "make serve"
    environment = {**os.environ, "PORT": str(port), "BENTOML_HOME": str(folder / "home")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process, folder / "log")
    try:
        wait_until_ready(server)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(STOP_SECONDS)


def run(block: str, server: Server, folder: Path = ROOT) -> str:
    script = block.replace(PRINTED_URL, server.url)
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_printed_answer_is_the_answer(served: Server) -> None:
    answer = json.loads(run(block_with(README, "sh", "/v1/detect"), served))
    printed = json.loads(block_with(README, "json", "detections"))
    assert answer["model"] == printed["model"]
    assert answer.keys() == printed.keys()
    assert answer["timing_ms"].keys() == printed["timing_ms"].keys()
    (actual,), (expected,) = answer["results"], printed["results"]
    assert (actual["width"], actual["height"]) == (expected["width"], expected["height"])
    assert len(actual["detections"]) == len(expected["detections"])
    for one, other in zip(actual["detections"], expected["detections"], strict=True):
        assert one["label"] == other["label"]
        assert one["label_id"] == other["label_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)
        assert one["box"] == pytest.approx(other["box"], abs=0.1)


def test_classify_command_names_the_coffee(served: Server) -> None:
    answer = json.loads(run(block_with(README, "sh", "/v1/classify"), served))
    (row,) = answer["results"][0]["classifications"]
    assert row["label"] == "espresso"


def test_python_code_prints_the_cat_and_draws_it(
    served: Server,
    tmp_path: Path,
    photos: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (code,) = blocks(README, "python")
    (tmp_path / "docs").symlink_to(photos.parent)
    monkeypatch.chdir(tmp_path)
    exec(code.replace(PRINTED_URL, served.url), {})
    assert capsys.readouterr().out.startswith("cat 0.")
    assert (tmp_path / "cat-with-boxes.png").stat().st_size > 10_000


def test_the_command_line_draws_what_it_finds(
    served: Server, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = block_with(README, "sh", "boxport detect")
    monkeypatch.setenv("BOXPORT_URL", served.url)
    (tmp_path / "docs").symlink_to(photos.parent)
    told = run(command.replace(".venv/bin", str(Path(sys.executable).parent)), served, tmp_path)
    answers = [json.loads(line) for line in told.splitlines()]
    assert len(answers) == len(list(photos.glob("*.jpg")))
    assert "cat" in (tmp_path / "found.csv").read_text()
    assert len(list((tmp_path / "drawn").rglob("*.jpg"))) == len(answers)


@pytest.mark.parametrize("block", blocks(README, "sh"))
def test_every_command_is_one_that_is_known(block: str) -> None:
    """Each block is run above, but for these, which would test or install."""
    if block.strip() == "make test":
        assert "pytest" in subprocess.check_output(["make", "-n", "test"], cwd=ROOT, text=True)
    elif "pip install" in block:
        (target,) = re.findall(r"\./clients/\w+", block)
        assert (ROOT / target / "pyproject.toml").is_file()
    else:
        assert re.match(r"make serve|curl |\S+boxport detect ", block)


def test_health_is_as_told(served: Server) -> None:
    assert httpx.get(f"{served.url}/readyz").status_code == 200
