"""A user who is not root serves, and tests, in a copy of their own."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.server import free_port
from tests.paths import ROOT

COPIED = ("service", "model_store", "docs", "deploy", "clients", "tests", "models", "export")

FIND_PYTHON = ("make", "--silent", "--eval", "found: ; @echo $(PYTHON)", "found")


@dataclass(frozen=True)
class User:
    """One that the test has made. ``folder``: a copy of the repository, theirs."""

    name: str
    folder: Path

    def start(self, *command: object, **variables: object) -> "subprocess.Popen[str]":
        """Run ``command`` in their folder, as their own process group.

        They may read what root reads, for Python may lie in root's home; they write as themselves.
        """
        return subprocess.Popen(
            [
                *("setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups"),
                *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
                *map(str, command),
            ],
            cwd=self.folder,
            env={
                **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "BENTOML_HOME")},
                "HOME": str(self.folder.parent),
                "PYTHONPATH": str(self.folder / "clients" / "python" / "src"),
                **{name: str(value) for name, value in variables.items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def processes(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["username"]) if p.info["username"] == self.name]


@pytest.fixture
def user() -> Iterator[User]:
    if os.geteuid() != 0 or not (shutil.which("useradd") and shutil.which("setpriv")):
        pytest.skip("only root on Linux can make the user of this test")
    name = f"boxport-{secrets.token_hex(3)}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    made = User(name, Path(f"~{name}").expanduser() / "boxport")
    try:
        caches = shutil.ignore_patterns("node_modules", "dist", "__pycache__", ".*")
        for folder in COPIED:
            shutil.copytree(ROOT / folder, made.folder / folder, ignore=caches)
        for file in ("Makefile", "pyproject.toml"):
            shutil.copy2(ROOT / file, made.folder)
        subprocess.run(["chown", "--recursive", name, made.folder], check=True)
        yield made
    finally:
        for process in made.processes():
            process.kill()
        subprocess.run(["userdel", "--force", "--remove", name], check=True, capture_output=True)


def check_serving(user: User, process: "subprocess.Popen[str]", port: int) -> None:
    """Wait for the lines of a service that is ready, ask it, and stop it."""
    assert process.stdout is not None
    said = []
    while "Ctrl-C" not in "".join(said[-1:]):
        said.append(process.stdout.readline())
        assert said[-1], f"it ended: {said}"
    photo = (ROOT / "docs" / "photos" / "cat.jpg").read_bytes()
    headers = {"content-type": "image/jpeg"}
    url = f"http://127.0.0.1:{port}/v1/detect"
    reply = httpx.post(url, content=photo, headers=headers, timeout=60)
    assert reply.json()["results"][0]["detections"][0]["label"] == "cat"
    assert len(user.processes()) >= 2, "the worker and what started it"
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)


def test_user_serves(user: User) -> None:
    port = free_port()
    home = user.folder / ".bentoml"
    process = user.start(
        sys.executable, "-m", "service", "serve", "--port", port, BENTOML_HOME=home
    )
    check_serving(user, process, port)
    assert home.owner() == user.name


def test_user_tests(user: User) -> None:
    process = user.start(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("tests/service/test_settings.py", "tests/service/repository/test_store.py"),
    )
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert " passed" in said


@pytest.mark.full
def test_user_installs_and_serves(user: User) -> None:
    """The README's command, in a copy with nothing beside it, with what is there for all users."""
    path = "/usr/local/bin:/usr/bin:/bin"
    if not subprocess.check_output([*FIND_PYTHON, f"PATH={path}"], cwd=ROOT, text=True).strip():
        pytest.skip("no Python of the system can make environments: apt-get install python3-venv")
    port = free_port()
    check_serving(user, user.start("make", "serve", f"PORT={port}", PATH=path), port)
    assert (user.folder / ".venv" / "serve.done").owner() == user.name
