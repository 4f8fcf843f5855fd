"""The start of `make serve`: three lines once it is ready, one if it cannot start."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service import serve
from service.serve import StartError, check_home, check_port, greet, greeting
from service.settings import Settings
from tests.e2e.server import Server, free_port
from tests.paths import ROOT


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_ready_service_is_greeted_in_three_lines_that_work(
    server: Server, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    greet(server.url, Settings(), os.getpid())
    page, command, stop = capfd.readouterr().out.splitlines()
    assert httpx.get(page.split()[-1]).headers["content-type"].startswith("text/html")
    answer = subprocess.check_output(shlex.split(command[command.index("curl") :]), text=True)
    assert '"label":"cat"' in answer
    assert "Ctrl-C" in stop


def test_greeting_names_paths_below_the_root_path(monkeypatch: pytest.MonkeyPatch) -> None:
    greeted = []
    monkeypatch.setattr(serve, "_greet_in_background", lambda url, _: greeted.append(url))
    monkeypatch.setattr(os, "execve", lambda *_: None)
    port = free_port()
    serve.serve(port, Settings(root_path="/vision"))
    assert greeted == [f"http://localhost:{port}/vision"]


def test_greeting_waits_no_longer_than_the_server_lives(capfd: pytest.CaptureFixture[str]) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    greet(f"http://127.0.0.1:{free_port()}", Settings(), ended.pid)
    assert capfd.readouterr().out == ""


def test_greeting_follows_the_settings(tmp_path: Path) -> None:
    settings = Settings(keys_file=tmp_path / "keys.json", playground=False)
    page, command, _ = greeting(f"http://127.0.0.1:{free_port()}", settings)
    assert page.endswith("/docs")
    assert "-H 'X-API-Key: …'" in command


def test_port_that_is_taken_is_refused_with_the_remedy(taken: int) -> None:
    with pytest.raises(StartError, match=rf"^port {taken} cannot be used: .+make serve PORT=8080$"):
        check_port(taken)
    with pytest.raises(StartError, match=r"^port 70000 cannot be used: "):
        check_port(70_000)
    check_port(free_port())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_home_that_cannot_be_written_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StartError, match=r"^/proc/home cannot be written: .+BENTOML_HOME=…$"):
        check_home(Path("/proc/home"))
    full = Path("/dev/full")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: full.open("wb"))
    with pytest.raises(StartError, match="No space left on device"):
        check_home(tmp_path / "home")


def test_command_refuses_a_taken_port_in_one_line(taken: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--port", str(taken)],
        cwd=ROOT,
        env={**os.environ, "BENTOML_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"boxport: port {taken} cannot be used")
    assert done.stderr.count("\n") == 1
