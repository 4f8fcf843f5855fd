"""The bento installs what `make serve` installs."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_bento_and_environment_have_the_same_packages() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert bento["python"]["packages"] == project["dependency-groups"]["serve"]


def test_serving_installs_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = " ".join(project["dependency-groups"]["serve"])
    assert "torch" not in packages
    assert "onnxscript" not in packages
