"""Where accuracy is to be measured on, said alike by every command that measures it."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from export.__main__ import app
from export.commands.options import to_evaluation
from export.evaluation.photo_set import EvaluationSet


def test_photos_make_an_evaluation_with_annotations_or_without() -> None:
    images, annotations = Path("val"), Path("val.json")
    assert to_evaluation(annotations, images) == EvaluationSet(images, annotations)
    assert to_evaluation(None, images) == EvaluationSet(images, None)
    assert to_evaluation(None, None) is None


def test_annotations_need_photos() -> None:
    with pytest.raises(typer.BadParameter, match="--annotations needs --images"):
        to_evaluation(Path("val.json"), None)


@pytest.mark.parametrize(
    "command",
    [
        ["create", "resnet18", "--weights", "w.pth"],
        ["convert", "store/pets/1", "--photos", "photos"],
    ],
    ids=["create", "convert"],
)
def test_a_command_says_so_before_it_begins(command: list[str], tmp_path: Path) -> None:
    arguments = [*command, "--output", str(tmp_path / "x" / "1"), "--annotations", "val.json"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "--annotations needs --images, the folder of the file's photos" in result.output
    assert not (tmp_path / "x").exists()
