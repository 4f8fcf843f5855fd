"""`python -m export create` says what is wrong in one line, and leaves nothing behind."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.__main__ import app
from models.checkpoints import Checkpoint, save_checkpoint
from models.variants import VARIANTS

LABELS = ((1, "person"), (2, "cat"), (3, "cup"), (4, "rocket"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "any other network comes as ONNX: `python -m export adopt`"),
        (["efficientdet_lite0", "--weights", "missing.pth"], "missing.pth: there is no such file"),
        (["efficientdet_lite0", "--photos", "."], "holds no photo"),
        (["efficientnet_lite0", "--labels", "missing.txt"], "missing.txt"),
        (["efficientnet_lite0", "--output", "pets/v1"], "the last two parts name the package"),
        (["efficientnet_lite0"], "does not name its 1000 classes; pass --labels"),
        (["efficientnet_lite0", "--output", "/dev/null/x/1"], "/dev/null/x/1: cannot be written"),
        (["resnet18"], "does not fit ResNet: "),
        (["resnet18", "--labels", "imagenet1k"], "is it of another architecture? `python -m mod"),
        (["efficientnet_lite0", "--weights", "TRUNCATED"], "cut.pth: is cut short or damaged"),
        (["efficientdet_lite"], "there is no efficientdet_lite; the nearest are efficientdet_lite"),
        (
            ["efficientdet_lite0+bilinear"],
            "there is no efficientdet_lite0+bilinear; the nearest are",
        ),
        (
            ["efficientdet_lite0", "--multi-label"],
            "is a detector; an activation (multi-label) is for classifiers",
        ),
    ],
    ids=[
        "architecture",
        "weights",
        "photos",
        "labels file",
        "output",
        "no labels",
        "an output below a file",
        "another architecture",
        "another architecture, with labels",
        "a truncated checkpoint",
        "architecture's number",
        "a detector's bilinear head",
        "a detector of several labels",
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, imagenet_weights: Path, arguments: list[str], words: str
) -> None:
    weights = imagenet_weights
    if arguments[0] == "efficientdet_lite0":
        weights = tmp_path / "some.pth"
        state = VARIANTS["efficientdet_lite0"].build(4).state_dict()
        save_checkpoint(Checkpoint(state, "efficientdet_lite0", LABELS), weights)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(weights.read_bytes()[:1_000_000])
    base = ["--weights", str(weights), "--output", str(tmp_path / "store" / "x" / "1")]
    more = [str(cut) if argument == "TRUNCATED" else argument for argument in arguments[1:]]
    result = CliRunner().invoke(app, ["create", arguments[0], *base, *more])
    assert result.exit_code == 1
    assert words in result.output.strip().splitlines()[-1]
    assert not (tmp_path / "store").exists()
