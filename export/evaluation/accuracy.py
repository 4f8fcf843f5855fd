"""What a package is worth, measured through the code that serves it, for its manifest."""

from dataclasses import dataclass
from pathlib import Path

from export.evaluation.column import QUERY, OnProgress, PackageColumn
from export.evaluation.figures import measure
from export.evaluation.photo_set import PhotoSet, read_annotated, read_class_folders
from export.photos import Say, ignore
from service.manifest import Accuracy
from service.package import ModelPackage

__all__ = [
    "QUERY",
    "EvaluationSet",
    "classifier_accuracy",
    "detector_accuracy",
    "measure_accuracy",
]


@dataclass(frozen=True)
class EvaluationSet:
    """Photos to measure on: a COCO instances file and the folder that holds its photos, or for a
    classifier a folder with a folder of photos for each class."""

    images: Path
    annotations: Path | None = None


def measure_accuracy(
    package: ModelPackage,
    evaluation: EvaluationSet,
    on_progress: OnProgress = lambda done, total: None,
    say: Say = ignore,
) -> Accuracy:
    """A detector's or a classifier's accuracy on ``evaluation``. Raises PhotoError.

    say: hears how many files of a classifier's folders are passed over.
    """
    if evaluation.annotations is None:
        return classifier_accuracy(package, evaluation.images, on_progress, say)
    return detector_accuracy(package, evaluation.annotations, evaluation.images, on_progress)


def detector_accuracy(
    package: ModelPackage,
    annotations: Path,
    images: Path,
    on_progress: OnProgress = lambda done, total: None,
) -> Accuracy:
    """COCO AP on the photos of an instances file, whose names lie in the folder ``images``.

    ``on_progress`` is told how many photos of how many are done. Raises PhotoError.
    """
    photos = read_annotated(annotations, images, package.manifest.labels)
    return _measure(package, photos, on_progress)


def classifier_accuracy(
    package: ModelPackage,
    images: Path,
    on_progress: OnProgress = lambda done, total: None,
    say: Say = ignore,
) -> Accuracy:
    """Top-1 and top-5 on a folder with a folder of photos for each class. Raises PhotoError."""
    photos = read_class_folders(images, package.manifest.labels, say=say)
    return _measure(package, photos, on_progress)


def _measure(package: ModelPackage, photos: PhotoSet, on_progress: OnProgress) -> Accuracy:
    figures = measure(photos, PackageColumn(package).answer(photos.photos, on_progress))
    classes = {name: round(value, 4) for name, value in figures.classes.items()}
    return Accuracy(
        data=photos.name,
        images=len(photos.photos),
        metrics={name: round(value, 4) for name, value in figures.metrics.items()},
        classes=classes or None,
    )
