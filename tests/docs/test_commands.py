"""Commands of the documentation are ones that exist, with the options that they are given."""

import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections import defaultdict

import pytest

from models.zoo.table import ZOO
from tests.docs.pages import DOCS, PAGES, block_with, command_lines
from tests.paths import ROOT

PROGRAMS = ("export", "models.training", "models.zoo", "service", "service.bulk", "benchmarks")
CALL = re.compile(r"(?:^|[ (])(?:python -m |torchrun .*-m )([\w.]+) (.*)|^(?:\S*/)?(boxport) (.*)")


def options_by_command() -> dict[tuple[str, ...], set[str]]:
    """The options that the pages give to each command of ours, such as ("export", "create")."""
    found = defaultdict(set)
    for page in PAGES:
        for line in command_lines(page):
            if (call := CALL.search(line)) is None:
                continue
            program, arguments = [group for group in call.groups() if group is not None]
            if program not in (*PROGRAMS, "boxport"):
                continue
            words = shlex.split(re.split(r"[)|>#]", arguments)[0])
            sub = words[:1] if words and re.fullmatch(r"[a-z]+", words[0]) else []
            command = (program, *sub)
            found[command] |= {word for word in words if word.startswith("-")}
    return found


OPTIONS = options_by_command()


def test_the_commands_are_found() -> None:
    assert {("export", "create"), ("service", "key"), ("models.training",)} <= OPTIONS.keys()
    assert len(OPTIONS) >= 15


@pytest.mark.parametrize("command", OPTIONS, ids=" ".join)
def test_commands_have_the_options(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    program, *sub = command
    module = "boxport_client" if program == "boxport" else program
    monkeypatch.setattr(sys, "argv", [program, *sub, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delitem(sys.modules, f"{module}.__main__", raising=False)  # or runpy warns
    before = signal.getsignal(signal.SIGPIPE)
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.signal(signal.SIGPIPE, before)  # a program may end by it, the tests must not
    assert not ended.value.code
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
    assert OPTIONS[command] <= known


def test_make_installs_what_training_needs() -> None:
    dry_run = subprocess.check_output(["make", "-n", "-B", "tools"], cwd=ROOT, text=True)
    assert "--group train" in dry_run


def test_the_checkpoint_that_is_downloaded_is_the_one_that_is_exported() -> None:
    block = block_with(DOCS / "models.md", "sh", "models.zoo")
    download, exported = block.strip().splitlines()
    entry = ZOO[download.split()[-1]]
    assert f"--weights checkpoints/{entry.file} " in exported
    assert exported.split("-m export create ")[1].startswith(entry.variant)
