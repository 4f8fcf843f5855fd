"""What runs before a commit and after a push is what a person runs."""

import re
import subprocess
import sys

import yaml

from tests.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def test_pre_commit_can_read_its_hooks() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_hooks_call_what_the_makefile_installs() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = " ".join(hook["entry"] for hook in repository["hooks"])
    tools = set(re.findall(r"\.venv/bin/([\w-]+)", entries))
    assert tools == {"ruff", "lint-imports"}
    for tool in tools:
        assert f"$(BIN)/{tool}" in MAKEFILE


def test_every_job_of_the_workflow_ends_in_a_target() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    last = [job["steps"][-1]["run"] for job in workflow["jobs"].values()]
    assert last == ["make check", "make test"]
    for command in last:
        assert re.search(rf"^{command.removeprefix('make ')}:", MAKEFILE, re.MULTILINE)


def test_the_documented_commands_are_targets() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    asked = {t for page in pages for t in re.findall(r"`make ([a-z]+)", page.read_text())}
    assert {"serve", "test", "bench"} <= asked
    for target in asked:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
