"""bentofile.yaml: what a bento is told to hold. tests/deploy/container builds one."""

import tomllib
from typing import Any

import pytest
import yaml
from pathspec import PathSpec  # as BentoML reads it

from tests.paths import ROOT


@pytest.fixture(scope="module")
def bento() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    return content


def test_bento_installs_what_is_locked(bento: dict[str, Any]) -> None:
    assert bento["python"] == {
        "requirements_txt": "deploy/container/cpu/requirements.txt",
        "lock_packages": False,  # BentoML would resolve anew, without hashes
    }


def test_bento_has_the_playground(bento: dict[str, Any]) -> None:
    included = PathSpec.from_lines("gitwildmatch", bento["include"])
    files = [file for file in (ROOT / "service" / "playground").rglob("*") if file.is_file()]
    assert len(files) > 20
    assert all(included.match_file(file.relative_to(ROOT)) for file in files)


@pytest.mark.parametrize(
    "path",
    [
        "models/anchors.py",
        "export/onnx/graph.py",
        "tests/test_bentofile.py",
        "docs/photos/cat.jpg",
        "model_store/.unfinished-1/model.onnx",
        "keys.json",
    ],
)
def test_bento_has_neither_training_nor_tests_nor_data(bento: dict[str, Any], path: str) -> None:
    included = PathSpec.from_lines("gitwildmatch", bento["include"])
    excluded = PathSpec.from_lines("gitwildmatch", bento["exclude"])
    assert not included.match_file(path) or excluded.match_file(path)


def test_serving_installs_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = " ".join(project["dependency-groups"]["serve"])
    assert "torch" not in packages
    assert "onnxscript" not in packages
