"""Answers are measured on what is known of the photos, or held to others."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from export.evaluation.column import PackageColumn
from export.evaluation.figures import agreement, measure
from export.evaluation.photo_set import PhotoSet
from service.manifest import Label

from .instances import CAT, DOG, INSTANCES


def found(box: Sequence[float], score: float = 0.9, label: Label = CAT) -> dict:
    return {"box": list(box), "score": score, "label": label.name, "label_id": label.id}


HERE, NEAR, THERE = (10, 10, 50, 50), (12, 10, 52, 50), (90, 90, 130, 130)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([found(HERE)], [found(NEAR)], 1.0),
        ([found(HERE)], [found(THERE)], 0.0),
        ([found(HERE)], [found(HERE, label=DOG)], 0.0),
        ([found(HERE), found(THERE)], [found(HERE)], 2 / 3),
        ([found(HERE)], [found(HERE), found(THERE)], 2 / 3),
        ([found(HERE), found(NEAR)], [found(HERE)], 2 / 3),
        ([found(HERE), found(THERE, 0.3)], [found(HERE)], 1.0),
        ([], [], None),
        ([], [found(HERE)], 0.0),
    ],
    ids=[
        "a match",
        "elsewhere",
        "another label",
        "one more",
        "one less",
        "one match only",
        "not above the threshold",
        "nothing",
        "nothing found",
    ],
)
def test_detections_agree_with_their_matches(
    detector: PackageColumn, own: list[dict], other: list[dict], expected: float
) -> None:
    assert detector.manifest.defaults.score_threshold == 0.3
    assert agreement(detector.manifest, [own], [other]) == pytest.approx(expected)


def test_classifications_agree_in_the_best_class(classifier: PackageColumn) -> None:
    cat, dog = {"label_id": 8, "score": 0.6}, {"label_id": 12, "score": 0.4}
    answers = [[cat, dog], [dog, cat], [cat, dog], [cat]]
    assert agreement(classifier.manifest, answers, [[cat, dog]] * 4) == 0.75


def test_detections_are_measured_by_photo_and_class() -> None:
    objects = {
        **INSTANCES,
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 8, "bbox": [10, 10, 40, 40]},
            {"id": 2, "image_id": 5, "category_id": 12, "bbox": [90, 90, 40, 40]},
        ],
    }
    photo_set = PhotoSet("test", 3, (Path("a"), Path("b"), Path("c")), objects)
    right = measure(photo_set, [[found(HERE)], [], [found(THERE, label=DOG)]])
    assert right.metrics["ap"] == right.metrics["ap_medium"] == pytest.approx(1)
    assert "ap_large" not in right.metrics
    assert right.classes == pytest.approx({"cat": 1, "dog": 1})
    half = measure(photo_set, [[found(HERE)], [found(THERE, label=DOG)], []])
    assert half.metrics["ap"] == pytest.approx(0.5)
    assert half.classes == pytest.approx({"cat": 1, "dog": 0})
