"""Where accuracy is to be measured on, said alike by every command that measures it."""

from pathlib import Path

from typer.testing import CliRunner

from export.__main__ import app
from export.commands.options import to_evaluation
from export.evaluation.photo_set import EvaluationSet


def test_photos_make_an_evaluation_with_annotations_or_without() -> None:
    images, annotations = Path("val"), Path("val.json")
    assert to_evaluation(annotations, images) == EvaluationSet(images, annotations)
    assert to_evaluation(annotations, None) == EvaluationSet(None, annotations)
    assert to_evaluation(None, images) == EvaluationSet(images, None)
    assert to_evaluation(None, None) is None


def test_an_evaluation_needs_photos() -> None:
    result = CliRunner().invoke(app, ["evaluate", "store/pets/1"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "name photos to measure on: --annotations, --images or both" in result.output
