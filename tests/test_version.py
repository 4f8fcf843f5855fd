"""One number, wherever it stands."""

import json
import re
import subprocess
import sys

import yaml

from service.version import __version__
from tests.paths import ROOT


def test_clients_have_the_services_number() -> None:
    stated = (ROOT / "clients/python/src/boxport_client/_version.py").read_text()
    assert f'__version__ = "{__version__}"' in stated
    for name in ("package.json", "package-lock.json"):
        content = json.loads((ROOT / "clients/typescript" / name).read_text())
        assert content["version"] == __version__, name


def test_the_bento_is_labelled_with_it() -> None:
    labels = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["labels"]
    assert labels["version"] == __version__


def test_the_changelog_begins_with_it() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "docs/CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", __version__]


def test_the_command_tells_it() -> None:
    command = [sys.executable, "-m", "service", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"boxport {__version__}\n"
