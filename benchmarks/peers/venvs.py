"""Makes a venv for each peer from its pinned requirements, when it is first measured."""

import hashlib
import subprocess
import sys
from pathlib import Path

VENVS = Path(__file__).resolve().parent.parent / ".venvs"
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r")
DONE = "requirements.sha256"  # file in a venv: the digest of its requirements


class InstallError(Exception):
    """A peer that cannot be installed; the message is pip's."""


def make_venv(home: Path, venvs: Path = VENVS) -> Path:
    """Make the venv of the peer in ``home`` if needed; its folder of programs. Raises
    InstallError."""
    requirements = home / "requirements.txt"
    venv = venvs / home.name
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    done = venv / DONE
    if not done.is_file() or done.read_text() != digest:
        _run([sys.executable, "-m", "venv", str(venv)])
        _run([str(venv / "bin" / "python"), *INSTALL, str(requirements)])
        done.write_text(digest)
    return venv / "bin"


def installed(programs: Path) -> dict[str, str]:
    """Versions of what is in a venv, by name."""
    listing = _run([str(programs / "python"), "-m", "pip", "freeze", "--disable-pip-version-check"])
    pairs = (line.split("==") for line in listing.splitlines() if "==" in line)
    return {name.lower(): version for name, version in pairs}


def _run(command: list[str]) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        complaints = [line for line in outcome.stderr.splitlines() if line.startswith("ERROR")]
        raise InstallError("; ".join(complaints) or outcome.stderr.strip()[-500:])
    return outcome.stdout
