"""What runs before a commit and after a push is what a person runs."""

import re
import subprocess
import sys
import tomllib

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


WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def test_every_job_of_the_workflow_ends_in_a_target() -> None:
    last = [job["steps"][-1]["run"] for job in WORKFLOW["jobs"].values()]
    targets = [re.findall(r"\bmake (\S+)", command) for command in last]
    assert targets == [["check"], ["test"], ["test-container"], ["test-sdk"]]
    for (target,) in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_every_python_that_is_promised_is_tested() -> None:
    """The service on those that the Makefile takes, the SDK on those that its package states."""
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS
    (taken,) = re.findall(r"^PYTHONS := (.+)$", MAKEFILE, re.MULTILINE)
    assert taken.split() == [f"python{version}" for version in reversed(PYTHONS)]
    sdk = tomllib.loads((ROOT / "clients" / "python" / "pyproject.toml").read_text())["project"]
    stated = [row.split(" :: ")[-1] for row in sdk["classifiers"] if "Python :: 3." in row]
    (setup,) = [s for s in WORKFLOW["jobs"]["sdk"]["steps"] if "setup-python" in s.get("uses", "")]
    assert setup["with"]["python-version"].split() == stated == ["3.10", *PYTHONS]


def test_the_documented_commands_are_targets() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    asked = {t for page in pages for t in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert {"serve", "test", "bench"} <= asked
    for target in asked:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
