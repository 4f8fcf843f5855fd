"""Gets programs that others wrote: from the system, or once into a folder of the user's cache."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers.venvs import InstallError, make_venv
from tests.tools import PATH

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "boxport-tests"


def find_debian(package: str, program: str) -> Path | None:
    """A program of a Debian package: the system's, or one that was unpacked before."""
    if found := shutil.which(program, path=PATH):
        return Path(found)
    unpacked = CACHE / package / "usr" / "bin" / program
    return unpacked if unpacked.is_file() else None


def debian(package: str, program: str) -> Path:
    """The same, downloaded and unpacked if need be; skips the test where it cannot be had."""
    return find_debian(package, program) or unpack(package) / "usr" / "bin" / program


def unpack(*packages: str) -> Path:
    """The folder of the files of Debian's ``packages``, which needs no root; skips the test where
    they cannot be had."""

    def fill(folder: Path) -> None:
        run("apt-get", "download", *packages, cwd=folder)
        for file in folder.glob("*.deb"):
            run("dpkg", "-x", str(file), str(folder), cwd=folder)
            file.unlink()

    return make_once(packages[0], fill)


def node_modules() -> Path:
    """The folder with what tests/thirdparty/node/package.json asks for; skips the test."""
    home = Path(__file__).parent / "node"
    lock = hashlib.sha256((home / "package-lock.json").read_bytes()).hexdigest()

    def fill(folder: Path) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(home / name, folder)
        run("npm", "ci", cwd=folder)

    return make_once(f"node-{lock[:12]}", fill) / "node_modules"


def make_once(name: str, fill: Callable[[Path], None]) -> Path:
    """A folder of the cache, which ``fill`` fills where it is not there yet."""
    home = CACHE / name
    if not home.is_dir():
        aside = CACHE / f".{name}.{os.getpid()}"
        aside.mkdir(parents=True)
        try:
            fill(aside)
            aside.replace(home)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return home


def run(*command: str, cwd: Path) -> None:
    """Run what gets a tool; skips the test if it fails."""
    try:
        subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=600)
    except OSError as error:
        pytest.skip(f"{command[0]} is missing: {error}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(command)}: {(error.stderr or error.stdout)[-500:]}")


def venv(name: str) -> Path:
    """The folder of programs of a venv with what tests/thirdparty/``name``/requirements.txt asks
    for; skips the test where it cannot be installed."""
    try:
        return make_venv(Path(__file__).parent / name, CACHE / "venvs")
    except InstallError as error:
        pytest.skip(f"{name}: {error}")
