"""The command itself: its help, its version, completion, and what it needs."""

import subprocess
import sys
from pathlib import Path

import boxport_client
import pytest

from .conftest import BOXPORT


def test_version_and_module(boxport) -> None:
    expected = f"boxport {boxport_client.__version__}\n".encode()
    assert boxport("--version").stdout == expected
    words = [sys.executable, "-m", "boxport_client", "--version"]
    done = subprocess.run(words, capture_output=True, env=boxport.environment, check=True)
    assert done.stdout == expected


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("detect", "boxport detect archive/ --journal archive.journal > answers.jsonl"),
        ("classify", "boxport classify holiday/ --top-k 1 --csv classes.csv"),
        ("models", "boxport models | jq"),
        ("video", "pip install 'boxport-client[cli,video]'"),
        ("wait", "boxport wait && boxport detect photos/"),
        ("config", 'profiles.shop.url = "https://boxport.shop.example"'),
        ("bench", "boxport bench http://localhost:3000 --photos docs/photos"),
    ],
)
def test_help_teaches_by_examples(boxport, command: str, example: str) -> None:
    done = boxport(command, "--help", COLUMNS="100")
    assert done.returncode == 0
    assert example in done.stdout.decode()


def test_exit_statuses_are_in_the_help(boxport) -> None:
    for words in (["--help"], ["detect", "--help"], []):
        text = " ".join(boxport(*words, COLUMNS="100").stdout.decode().split())
        for part in ("0 all photos were answered", "1 some failed", "130 interrupted"):
            assert part in text or words == []
    assert "exit" not in boxport().stderr.decode()


def test_completion(boxport, url: str) -> None:
    # the shell that it is started from is the one that it completes for
    words = ["bash", "-c", f"{BOXPORT} --show-completion; exit"]
    script = subprocess.run(words, env=boxport.environment, capture_output=True, check=True).stdout
    assert b"_BOXPORT_COMPLETE=complete_bash" in script

    def complete(*words: str) -> list[str]:
        done = boxport(
            _BOXPORT_COMPLETE="complete_bash",
            COMP_WORDS=" ".join(["boxport", *words]),
            COMP_CWORD=str(len(words)),
        )
        assert done.stderr == b""
        return done.stdout.decode().split()

    assert complete("det") == ["detect"]
    assert complete("detect", "--url", url, "--model", "eff") == [
        "efficientdet_lite0_voc",
        "efficientnet_lite0_imagenet",
    ]
    assert complete("detect", "--url", "http://127.0.0.1:9", "--model", "eff") == []


def test_without_the_extra(boxport, tmp_path: Path) -> None:
    """As where only the SDK is installed: its packages, and not those of the command."""
    code = (
        "import importlib.util as u, sys; found = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'typer' else found(name)\n"
        "from boxport_client.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=boxport.environment, check=False
    )
    assert done.returncode == 2
    assert done.stderr == b"error: packages are missing: pip install 'boxport-client[cli]'\n"
    assert done.stdout == b""
