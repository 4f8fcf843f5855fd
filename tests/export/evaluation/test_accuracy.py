"""What a package is worth, as its manifest tells it."""

from pathlib import Path

from export.evaluation.column import PackageColumn
from export.evaluation.figures import measure_accuracy
from export.evaluation.photo_set import EvaluationSet
from service.package import open_package
from tests.export.evaluation.columns import ignore
from tests.export.evaluation.instances import INSTANCES, write_instances


def test_a_manifest_gets_all_figures_of_a_detector(
    store: Path, tmp_path: Path, photos: Path
) -> None:
    """The cat is found at IoU .9 or so; what the data have none of is left out."""
    path = write_instances(tmp_path, annotations=INSTANCES["annotations"][:1])
    package = open_package(store / "efficientdet_lite0_voc" / "1")
    photo_set = EvaluationSet(photos, path).read(package.manifest.labels)
    accuracy, judged = measure_accuracy(package, photo_set)
    assert set(accuracy.metrics) == {"ap", "ap50", "ap75", "ap_large", "ar100"}
    assert accuracy.metrics["ap50"] == 1
    assert accuracy.classes == {"cat": accuracy.metrics["ap"]}
    assert 0.5 < accuracy.metrics["ap"] <= 1
    assert judged is not None
    assert (judged.objects, judged.right.sum()) == (1, 1)


def test_class_folders_measure_the_shipped_classifier(
    tmp_path: Path, photos: Path, store: Path
) -> None:
    """Two photos in the right folder; one whose class is second; one of another class."""
    for name, photo in (
        ("espresso", "coffee"),
        ("missile", "rocket"),
        ("Egyptian cat", "cat"),
        ("tench", "gravel"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").symlink_to(photos / f"{photo}.jpg")
    package = open_package(store / "efficientnet_lite0_imagenet" / "1")
    ranked = PackageColumn(package).answer([photos / "cat.jpg", photos / "rocket.jpg"], ignore)
    assert "Egyptian cat" in [row["label"] for row in ranked[0][1:]]  # not the first
    assert ranked[1][0]["label"] == "missile"
    photo_set = EvaluationSet(tmp_path).read(package.manifest.labels)
    accuracy, judged = measure_accuracy(package, photo_set)
    assert accuracy.metrics == {"top1": 0.5, "top5": 0.75}
    assert (accuracy.images, accuracy.classes, judged) == (4, None, None)
