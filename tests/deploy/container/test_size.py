"""The image's size, computed without an engine."""

import re
import sys
from pathlib import Path

import pytest

from deploy.container.size import (
    BASE_IMAGE,
    LIMITS,
    Part,
    copy_project,
    measure,
    package_sizes,
    size_of,
    table,
)
from tests.paths import ROOT


def documented() -> dict[str, float]:
    """The table of docs/container.md, in MB."""
    text = (ROOT / "docs" / "container.md").read_text()
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \|$", text, re.MULTILINE)
    return {name: float(size) for name, size in rows}


def test_documented_size_is_the_sum_of_its_parts_and_under_the_limit() -> None:
    *parts, total = documented().values()
    assert total == pytest.approx(sum(parts), abs=0.05 * len(parts))
    assert total < LIMITS["cpu"] / 1e6
    assert documented()["base image"] == pytest.approx(BASE_IMAGE / 1e6, abs=0.05)


def test_project_counts_with_reports_and_bytecode(tmp_path: Path, store: Path) -> None:
    models, service = copy_project(tmp_path)
    files = [path for path in store.glob("*/*/*") if path.is_file()]
    assert size_of(models) == sum(path.stat().st_size for path in files)
    sources = {path.stem for path in service.rglob("*.py")}
    assert {path.name.split(".")[0] for path in service.rglob("*.pyc")} == sources
    assert documented()["models"] == pytest.approx(size_of(models) / 1e6, rel=0.05)


def test_package_counts_with_all_its_files() -> None:
    sizes = {part.name.split()[0]: part.size for part in package_sizes(Path(sys.prefix))}
    (capi,) = Path(sys.prefix).glob("lib/python*/site-packages/onnxruntime/capi")
    assert sizes["onnxruntime"] > size_of(capi) > 10_000_000


def test_table_adds_up() -> None:
    names = ["base image", *(f"package {i}" for i in range(20)), "env", "models", "service"]
    rows = table([Part(name, 1_000_000) for name in names]).splitlines()[2:]
    assert rows[0] == "| base image | 1.0 |"
    assert "| 8 smaller packages | 8.0 |" in rows
    assert rows[-1] == "| **sum** | 24.0 |"


@pytest.mark.full
def test_documented_size_is_what_is_measured(tmp_path: Path) -> None:
    parts = measure("cpu", tmp_path)
    total = sum(part.size for part in parts)
    assert total < LIMITS["cpu"]
    assert documented()["**sum**"] == pytest.approx(total / 1e6, rel=0.05)
