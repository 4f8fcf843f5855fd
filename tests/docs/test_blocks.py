"""Every command block of the pages is run, here or by the test that it names, or says why not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, README, page_name, shell_blocks
from tests.paths import ROOT

PAGES = [README, *sorted(DOCS.rglob("*.md"))]
MARK = re.compile(r"run by (?P<test>tests/\S+\.py)|not run: \S.*")
MARKED = [
    pytest.param(page, block.mark, id=f"{page_name(page)}:{block.line}")
    for page in PAGES
    for block in shell_blocks(page)
    if block.mark
]
HERE = {page: [b.text for b in shell_blocks(page) if not b.mark] for page in PAGES}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder as a reader has it: the repository's content, and a model of his own."""
    for name in ("docs", "model_store", "deploy", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copytree(ROOT / "model_store" / "efficientdet_lite0_voc", tmp_path / "my_models/pets")
    manifest = tmp_path / "my_models/pets/1/manifest.json"
    manifest.write_text(manifest.read_text().replace('"efficientdet_lite0_voc"', '"pets"', 1))
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if HERE[page]], ids=page_name)
def test_blocks_without_a_mark_run(page: Path, scratch: Path) -> None:
    """In the order of the page and in one folder, as a reader would; ended by the first error."""
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for block in HERE[page]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("page", "mark"), MARKED)
def test_marks_say_what_runs_the_block_or_why_nothing_does(page: Path, mark: str) -> None:
    found = MARK.fullmatch(mark)
    assert found is not None, mark
    if found["test"]:
        source = (ROOT / found["test"]).read_text("utf-8")
        assert page.name in source or (page is README and "README" in source)


def test_blocks_are_found() -> None:
    """Fenced and indented, in lists too, with and without a mark."""
    assert len(MARKED) > 40
    assert any("export verify" in block for block in HERE[DOCS / "packages.md"])
    assert any("busybox" in block.text for block in shell_blocks(DOCS / "kubernetes.md"))
