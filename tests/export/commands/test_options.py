"""Where accuracy is to be measured on, said alike by every command that measures it."""

from pathlib import Path

from export.commands.options import to_evaluation
from export.evaluation.photo_set import EvaluationSet


def test_photos_make_an_evaluation_with_annotations_or_without() -> None:
    images, annotations = Path("val"), Path("val.json")
    assert to_evaluation(annotations, images) == EvaluationSet(images, annotations)
    assert to_evaluation(annotations, None) == EvaluationSet(None, annotations)
    assert to_evaluation(None, images) == EvaluationSet(images, None)
    assert to_evaluation(None, None) is None
