"""What a state dict does not hold is noticed, and named, by asking the owner's own model."""

import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from export.__main__ import app
from service.manifest import read_manifest
from tests.fidelity.owners import ROWS, make_weights
from tests.paths import ROOT

REFERENCE = """
import sys
sys.path.insert(0, {root!r})
from tests.fidelity.owners import answerer
predict = answerer({name!r}, {weights!r})
"""


@pytest.mark.full
@pytest.mark.parametrize("name", ROWS)
def test_a_package_is_proven_or_what_differs_is_named(
    name: str, photos: Path, tmp_path: Path
) -> None:
    row = ROWS[name]
    weights, reference = tmp_path / "weights.pth", tmp_path / "mine.py"
    torch.save(make_weights(name), weights)
    reference.write_text(REFERENCE.format(root=str(ROOT), name=name, weights=str(weights)))
    labels, chosen = tmp_path / "labels.txt", tmp_path / "photos"
    labels.write_text("".join(f"class {i}\n" for i in range(row.classes)))
    chosen.mkdir()
    for photo in row.photos:
        (chosen / photo).symlink_to(photos / photo)
    output = tmp_path / "store" / "mine" / "1"
    arguments = ["create", row.architecture, "--weights", weights, "--output", output]
    arguments += ["--labels", labels, "--photos", chosen, "--reference", reference, *row.options]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    told = result.output.strip().splitlines()
    if row.words is None:
        assert result.exit_code == 0, told[-3:]
        parity = read_manifest(output / "manifest.json").parity
        assert (parity.reference, parity.graph.reference) == ("user_model", "boxport_network")
        assert parity.agreeing >= 0.97
        assert any(line.startswith("parity: compared with your own model") for line in told)
        return
    assert result.exit_code == 1
    assert not output.parent.parent.exists()
    [fault] = [line for line in told if line.startswith("error: ")]
    assert re.search(row.words, fault), fault
