"""Columns are held to the first."""

import json
from pathlib import Path

import pytest

from export.evaluation.column import PackageColumn
from export.evaluation.comparison import compare
from export.evaluation.photo_set import PhotoSet, PhotoSetError
from export.evaluation.table import to_verdict
from service.package import PackageError

from .columns import FixedColumn, compare_classes, unseen


def test_a_column_may_fall_by_the_tolerance_and_no_further(classifier: PackageColumn) -> None:
    comparison = compare_classes(classifier.manifest, 90, 88, 89, 95, tolerance=1)
    assert [comparison.drop(result) for result in comparison.results] == pytest.approx(
        [0, 2, 1, -5]
    )
    assert [result.column.title for result in comparison.failures] == ["column 1"]
    assert to_verdict(comparison) == (
        "failed: top-1 of column 1 pets/1 is 2.00 points below column 0 pets/1, more than 1 points"
    )
    content = comparison.to_json()
    assert content["gate"] == {"metric": "top1", "tolerance_points": 1, "passed": False}
    assert [column["passed"] for column in content["columns"]] == [True, False, True, True]
    assert content["columns"][1]["metrics"] == {"top1": 0.88, "top5": 0.88}
    assert [column["agreement"] for column in content["columns"]] == [1, 0.98, 0.99, 0.95]
    assert json.loads(json.dumps(content)) == content


def test_tolerance_depends_on_what_is_measured(classifier: PackageColumn) -> None:
    accuracy = compare_classes(classifier.manifest, 90, 89)
    assert (accuracy.metric, accuracy.tolerance, len(accuracy.failures)) == ("top1", 0.5, 1)
    alike = compare_classes(classifier.manifest, 90, 87, known=False)
    assert (alike.metric, alike.tolerance, len(alike.failures)) == ("agreement", 3, 0)
    assert len(compare_classes(classifier.manifest, 90, 94, known=False).failures) == 1


def test_columns_must_be_alike(detector: PackageColumn, classifier: PackageColumn) -> None:
    photo_set = PhotoSet("t", 1, (Path("x"),))
    with pytest.raises(PackageError, match="one does detection, the other classification"):
        compare([detector, classifier], photo_set, unseen)
    other = detector.manifest.model_copy(update={"labels": detector.manifest.labels[1:]})
    with pytest.raises(PackageError, match="their labels differ"):
        compare([detector, FixedColumn("x", other, [[]])], photo_set, unseen)
    with pytest.raises(PhotoSetError, match="no second column to agree with"):
        compare([detector], photo_set, unseen)


def test_nothing_found_is_nothing_to_agree_on(detector: PackageColumn) -> None:
    photo_set = PhotoSet("t", 2, (Path("x"), Path("y")))
    columns = [FixedColumn(name, detector.manifest, [[], []]) for name in "ab"]
    with pytest.raises(PhotoSetError, match=r"t: a pets/1 finds nothing in 2 photos above"):
        compare(columns, photo_set, unseen)


def test_a_reference_that_is_never_right_passes_nothing(classifier: PackageColumn) -> None:
    with pytest.raises(PhotoSetError, match="has top1 0, below which nothing can fall"):
        compare_classes(classifier.manifest, 0, 0)
