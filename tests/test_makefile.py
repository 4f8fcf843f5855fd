"""What the Makefile decides before any package is there: which Python, and what if none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


def make(
    target: str, path: Path, *arguments: str, environment: str = "nowhere"
) -> subprocess.CompletedProcess[str]:
    """`make TARGET` with no programs but the system's and those in ``path``."""
    return subprocess.run(
        ["make", f"VENV={path / environment}", *arguments, target],
        cwd=ROOT,
        env={"PATH": f"{path}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def chosen(path: Path) -> str:
    """The Python of a new environment."""
    rules = make("serve", path, "--dry-run").stdout
    (line,) = [line for line in rules.splitlines() if " -m venv " in line]
    return line.split()[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder in which no Python of the system works, like a version manager's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for minor in range(11, 15):
        put(folder, f"python3.{minor}", "exit 127")
    return folder


def put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_newest_python_that_runs_is_taken(path: Path) -> None:
    put(path, "python3.11", "exit 0")
    assert chosen(path) == "python3.11"
    put(path, "python3.13", "exit 0")
    assert chosen(path) == "python3.13"


def test_python_without_the_module_for_environments_is_passed_over(path: Path) -> None:
    put(path, "python3.12", "exit 0")
    put(path, "python3.14", 'case "$2" in *ensurepip*) exit 1;; esac')
    assert chosen(path) == "python3.12"


def test_no_python_is_told_in_one_line(path: Path) -> None:
    done = make("serve", path, "--silent")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("boxport: there is no Python 3.11 to 3.14")
    assert "apt-get install python3 python3-venv" in first
    assert "PYTHON=" in first
    assert all(line.startswith("make: ***") for line in rest)


def test_python_that_is_too_old_is_told_in_one_line(path: Path) -> None:
    put(path, "old", f'exec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"')
    done = make("serve", path, "--silent", "PYTHON=old")
    assert done.stderr.startswith("boxport: old is older than Python 3.11\n")


def test_environment_that_failed_is_made_anew(path: Path) -> None:
    """As on a full disk, or after Ctrl-C: a half environment would be taken for a whole one."""
    script = 'case "$*" in *" -m venv "*) ;; *) exit 0;; esac; for last; do :; done'
    put(path, "python3.12", f"{script}; mkdir -p $last/bin; touch $last/bin/python; exit 1")
    done = make("serve", path, "--silent", environment="half")
    assert done.returncode
    assert (path / "half" / "bin").is_dir()
    assert not (path / "half" / "bin" / "python").exists()
