"""The installed command `boxport`, run as a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# where the SDK is installed without the command, there is nothing to test
if importlib.util.find_spec("typer") is None:
    collect_ignore_glob = ["test_*.py"]

BOXPORT = Path(sys.executable).parent / "boxport"
SECONDS = 120
# Imports the command once, and forks itself for each call that it is sent: words, folder,
# environment, and the files that are to be standard input, output and error.
FORKS = """
import json, os, socket, sys
from boxport_client.cli import _app, main
from typer.testing import CliRunner

CliRunner().invoke(_app.app, ["--version"])  # what it imports once it is called
channel = socket.socket(fileno=int(sys.argv[1]))
while asked := socket.recv_fds(channel, 2**20, 3):
    message, files = asked[:2]
    if not message:
        break
    child = os.fork()
    if child == 0:
        channel.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        words, folder, environment = json.loads(message)
        sys.argv = ["boxport", *words]
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        main()
    for file in files:
        os.close(file)
    channel.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
"""


class Forks:
    """Processes that run `boxport`, without what it takes to start it."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", FORKS, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
            )

    def run(
        self, words: list[str], folder: Path, environment: dict, stdin: bytes
    ) -> subprocess.CompletedProcess:
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write(stdin)
            files[0].seek(0)
            message = json.dumps([words, str(folder), environment]).encode()
            socket.send_fds(self._channel, [message], [file.fileno() for file in files])
            status = int(self._channel.recv(100))
            for file in files:
                file.seek(0)
            return subprocess.CompletedProcess(words, status, files[1].read(), files[2].read())

    def close(self) -> None:
        self._channel.close()
        self._process.wait()


@dataclass
class Command:
    """Runs `boxport` in ``folder``, with a configuration and an environment of its own."""

    folder: Path
    forks: Forks
    environment: dict = field(default_factory=dict)

    def __call__(self, *words: object, stdin: bytes = b"", **environment: str):
        variables = {**self.environment, **environment}
        return self.forks.run(list(map(str, words)), self.folder, variables, stdin)

    def start(self, *words: object) -> subprocess.Popen:
        return subprocess.Popen(
            [BOXPORT, *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what a line was read ahead of, `communicate` would not give
        )

    def in_terminal(
        self, *words: object, until: Callable[[str], bool] | None = None, **environment: str
    ) -> tuple[int, str]:
        """Exit status, and what a terminal of 120 columns was sent; Ctrl-C once ``until`` holds."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            values = {**self.environment, "COLUMNS": "120", "TERM": "xterm", **environment}
            os.execve(BOXPORT, ["boxport", *map(str, words)], values)
        shown = b""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:  # Linux's way to say that the other side is closed
                    break
            if until is not None and until(shown.decode(errors="replace")):
                os.write(terminal, b"\x03")
                until = None
        else:
            os.kill(child, signal.SIGKILL)
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, shown.decode(errors="replace")


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    started = Forks()
    yield started
    started.close()


@pytest.fixture
def boxport(tmp_path: Path, forks: Forks) -> Command:
    """The command, in an empty folder; it knows of no service."""
    folder = tmp_path / "here"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BOXPORT_")}
    kept.pop("PYTHONUNBUFFERED", None)  # the command itself has to send its lines off
    return Command(folder, forks, {**kept, "XDG_CONFIG_HOME": str(tmp_path / "config")})


@pytest.fixture
def asking(boxport: Command, url: str) -> Command:
    """The command, which asks the real service."""
    boxport.environment["BOXPORT_URL"] = url
    return boxport


@pytest.fixture
def album(boxport: Command, photos: Path) -> Path:
    """A folder in the command's, with a folder in it: three photos, and a file that is none."""
    folder = boxport.folder / "album"
    (folder / "cats").mkdir(parents=True)
    shutil.copy(photos / "astronaut.jpg", folder)
    shutil.copy(photos / "coffee.jpg", folder)
    shutil.copy(photos / "cat.jpg", folder / "cats" / "cat.jpg")
    (folder / "notes.txt").write_text("no photo")
    return folder
