"""The bento installs what `make serve` installs."""

import tomllib
from pathlib import Path

import yaml
from pathspec import PathSpec  # as BentoML reads it

ROOT = Path(__file__).parent.parent


def test_bento_and_environment_have_the_same_packages() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert bento["python"]["packages"] == project["dependency-groups"]["serve"]


def test_bento_has_the_playground() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    included = PathSpec.from_lines("gitwildmatch", bento["include"])
    files = [file for file in (ROOT / "service" / "playground").rglob("*") if file.is_file()]
    assert len(files) > 20
    assert all(included.match_file(file.relative_to(ROOT)) for file in files)


def test_serving_installs_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = " ".join(project["dependency-groups"]["serve"])
    assert "torch" not in packages
    assert "onnxscript" not in packages
