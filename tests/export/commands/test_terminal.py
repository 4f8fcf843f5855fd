"""A fault is shown in one line, and that of a graph with the node it lies in."""

from pathlib import Path

import onnx
import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

from export import exporter
from export.__main__ import app
from export.commands import terminal
from export.onnx.trace import to_onnx
from export.parity.comparison import ParityError
from models.checkpoints import Checkpoint, save_checkpoint
from models.variants import Variant
from service.manifest import read_manifest
from service.provenance import ParityReference
from tests.export.conftest import LABELS
from tests.export.tampering import SIZE, make_resnet, scale_filter


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (
            "boxport_network",
            "parity: compared with Boxport's own network, not with yours; `export",
        ),
        ("float32_package", "parity: compared with the float32 package, 100.0% of"),
        ("user_model", "parity: compared with your own model, 100.0% of"),
    ],
)
def test_what_the_graph_was_compared_with_is_said(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reference: ParityReference,
    words: str,
) -> None:
    manifest = read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json")
    parity = manifest.parity.model_copy(update={"reference": reference})
    monkeypatch.setattr(terminal, "console", Console(width=160))
    terminal.show_package(manifest.model_copy(update={"parity": parity}), Path("x/1"))
    assert words in capsys.readouterr().out


def test_command_writes_nothing_and_names_the_node(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that the exporter makes is changed before the gate sees it."""
    weights = tmp_path / "resnet18.pth"
    with torch.no_grad():
        network = make_resnet(photos)[1]
    save_checkpoint(Checkpoint(network.state_dict(), "resnet18", LABELS), weights)
    faults: list[str] = []

    def tampered(variant: Variant, graph: nn.Module) -> onnx.ModelProto:
        model = to_onnx(variant, graph)
        faults.append(scale_filter(model))
        return model

    monkeypatch.setattr(exporter, "to_onnx", tampered)
    monkeypatch.setattr(terminal, "console", Console(stderr=True, width=160))
    result = CliRunner().invoke(
        app,
        [
            "create",
            "resnet18",
            "--weights",
            str(weights),
            "--output",
            str(tmp_path / "store" / "x" / "1"),
            "--photos",
            str(photos),
            "--input-size",
            str(SIZE),
        ],
    )
    assert result.exit_code == 1
    assert not isinstance(result.exception, ParityError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resnet18.pth"]
    lines = result.output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    assert "photos at batch 1, from photo 0" in lines[start]
    assert "First node that differs from PyTorch" in lines[start + 1]
    table = lines[start + 2 :]
    agrees, differs = (next(x for x in table if word in x) for word in (" agrees ", " differs "))
    [output] = faults
    for text in ("Conv", output, "backbone.layer2.1.conv2"):
        assert f" {text} " in differs
    assert " Relu " in agrees
    assert table.index(agrees) < table.index(differs)
