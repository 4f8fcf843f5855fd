"""A package's accuracy, measured through the code that serves it, for its manifest."""

from export.evaluation.column import PackageColumn
from export.evaluation.figures import measure
from export.evaluation.photo_set import PhotoSet
from export.progress import OnProgress, ignore_progress
from service.manifest import Accuracy
from service.package import ModelPackage

DECIMALS = 4


def measure_accuracy(
    package: ModelPackage, photos: PhotoSet, on_progress: OnProgress = ignore_progress
) -> Accuracy:
    """COCO's AP of a detector, top-1 and top-5 of a classifier, each in 0..1.

    ``photos`` must say what they show. Raises PhotoError naming a photo that cannot be read.
    """
    figures = measure(photos, PackageColumn(package).answer(photos.photos, on_progress))
    return Accuracy(
        data=photos.name,
        images=len(photos.photos),
        metrics=_rounded(figures.metrics),
        classes=_rounded(figures.classes) or None,
    )


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, DECIMALS) for name, value in figures.items()}
