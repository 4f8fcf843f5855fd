"""docs/models.md: the export that it prints writes the package that is shipped."""

import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, block_with
from tests.paths import ROOT


@pytest.mark.full
def test_export_command_writes_a_package(tmp_path: Path) -> None:
    block = block_with(DOCS / "models.md", "sh", "WEIGHTS=")
    script = block.replace("my_models", str(tmp_path / "my_models"))
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shipped = ROOT / "model_store" / "efficientnet_lite0_imagenet" / "1" / "model.onnx"
    written = tmp_path / "my_models" / "lite0" / "1" / "model.onnx"
    assert written.stat().st_size == pytest.approx(shipped.stat().st_size, rel=0.01)
