"""A training run from its options: the data checked, the network built, trained and reported."""

import time
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from rich.progress import Progress
from torch import nn

from models.checkpoints import load_checkpoint
from models.datasets.content import Annotations, ClassFolders, Content, DataError
from models.datasets.layouts import (
    DataSet,
    recognise_classes,
    recognise_coco_files,
    recognise_detection,
)
from models.evaluation import SCORE_FLOOR
from models.training.augment import Augment
from models.training.classification_task import ClassificationTask
from models.training.console import progress_bar, say
from models.training.data import read_data, unseen_classes
from models.training.dataset import training_side
from models.training.detection_task import SIZE_STEP, DetectionTask
from models.training.devices import Process, current_process
from models.training.features import FeatureCache
from models.training.freezing import frozen_layers
from models.training.loop import Trainer
from models.training.options import CLASSIFIERS_ONLY, DETECTORS_ONLY, VARYING_SIZE
from models.training.outline_task import OutlineTask
from models.training.pseudo_labels import add_pseudo_labels, ask_teacher
from models.training.recipe import Augmentation, Recipe, TrainingError
from models.training.run_report import report_run
from models.training.settings import RunSettings, check_settings, save_settings
from models.variants import VARIANTS, Variant, at_size, find_variant
from models.weights import load_backbone, load_start
from service.manifest import Task


@dataclass(frozen=True)
class TrainingJob:
    """What the options of `python -m models.training` say: see there.

    given: the names of those that stand on the command line.
    """

    architecture: str
    data: Path | None
    train: Path | None
    val: Path | None
    output: Path
    images: Path | None
    validation_share: float | None
    backbone: Path | None
    weights: Path | None
    input_size: int | None
    skip_bad: bool
    clip_boxes: bool
    teacher: tuple[Path, ...]
    pseudo_labels: Path | None
    distill: float
    check_only: bool
    workers: int
    device: str | None
    recipe: Recipe
    augmentation: Augmentation
    views: int
    given: frozenset[str]

    @property
    def labels_file(self) -> Path | None:
        """Where a teacher's labels are kept, if there is one."""
        own = self.output / "pseudo_labels.json" if self.teacher else None
        return self.pseudo_labels or own


def run(job: TrainingJob) -> None:
    """Train, or only check the data. Raises one of `console.FAULTS`."""
    variant = find_trainable(job.architecture, job.input_size)
    process = current_process(job.device)
    _check_options(job, variant, process)
    outside = "clip" if job.clip_boxes else "refuse"
    data = _find_data(job, variant.task)
    content = read_data(data, job.validation_share, job.skip_bad, outside, process)
    _describe_data(process, *content)
    if job.check_only:
        return
    content = _with_teacher(job, process, *content)
    categories = content[0].categories
    torch.manual_seed(job.recipe.seed)  # what no checkpoint fills starts at random
    network = variant.build(len(categories))
    for source, load in ((job.weights, load_start), (job.backbone, load_backbone)):
        if source is not None:
            recognised = load(network, load_checkpoint(source).state, str(source))
            say(process, f"started from {source}: {recognised}")
    augment = Augment(**asdict(job.augmentation))
    settings = RunSettings(
        job.architecture,
        training_side(variant.input),
        tuple(name for _, name in categories),
        len(content[0].photos),
        asdict(augment),
        job.views,
        None if job.labels_file is None else str(job.labels_file),
        job.distill,
    )
    check_settings(settings, job.output)
    job.output.mkdir(parents=True, exist_ok=True)
    with progress_bar(process) as progress:
        task = _make_task(network, variant, job.recipe, process, content, augment)
        if job.views:
            _cache_features(task, job.views, job.workers, progress)
        trainer = Trainer(
            network, job.architecture, task, job.recipe, process, job.output, job.workers
        )
        if process.is_main:
            save_settings(settings, job.output)
        started = time.monotonic()
        _announce(trainer)
        trainer.fit(progress)
    if process.is_main:
        report_run(trainer, time.monotonic() - started)
        _conclude(trainer, variant)


def find_trainable(architecture: str, input_size: int | None) -> Variant:
    """The row of ``architecture``, at ``input_size`` or its own. Raises TrainingError."""
    variant = find_row(architecture)
    if architecture.startswith("rcnn"):
        raise TrainingError(
            f"{architecture} is trained in parts: python -m models.training head --features"
            f" {architecture}"
        )
    if architecture.startswith("fasterrcnn"):
        raise TrainingError(
            f"{architecture} can be exported, but not trained; choose a RetinaNet or EfficientDet"
        )
    if input_size is None and variant.input.varies:
        input_size = VARYING_SIZE
    return variant if input_size is None else at_size(variant, input_size)


def find_row(architecture: str) -> Variant:
    """The row of ``architecture``. Raises TrainingError."""
    try:
        return find_variant(architecture)
    except KeyError:
        close = ", ".join(get_close_matches(architecture, VARIANTS, n=3))
        hint = f"did you mean {close}?" if close else "`python -m models` lists all"
        raise TrainingError(f"there is no {architecture}; {hint}") from None


def _check_options(job: TrainingJob, variant: Variant, process: Process) -> None:
    """Raise TrainingError for what cannot be, or would be without effect."""
    architecture, recipe, scale = job.architecture, job.recipe, job.augmentation.scale
    other = DETECTORS_ONLY if variant.task == "classification" else CLASSIFIERS_ONLY
    for name in other:
        if name in job.given:
            option = f"--{name.replace('_', '-')}"
            raise TrainingError(f"{option} has no effect on a {variant.task} like {architecture}'s")
    if job.distill and job.labels_file is None:
        raise TrainingError("--distill follows a teacher: name one, with --teacher")
    if min(scale) <= 0:
        raise TrainingError(f"--scale {min(scale)}: a photo's size is more than 0")
    if training_side(variant.input) * min(recipe.multi_scale) < SIZE_STEP:
        raise TrainingError(
            f"--multi-scale {min(recipe.multi_scale)}: leaves less than {SIZE_STEP} pixels"
        )
    with torch.device("meta"):  # takes no time, no memory and no random numbers
        frozen_layers(variant.build(1), recipe.frozen_stages)
    if job.views and not (recipe.frozen_stages or recipe.frozen_detector):
        raise TrainingError("--views keeps what frozen stages give: say how many, --frozen-stages")
    if job.views and recipe.multi_scale != (1.0, 1.0):
        raise TrainingError("--views keeps what is computed at one size; leave --multi-scale out")
    _check_outlines(job, process)
    if job.views and process.world_size > 1:
        raise TrainingError("--views is for one process; leave it out under torchrun")


def _check_outlines(job: TrainingJob, process: Process) -> None:
    """Raise TrainingError for what cannot be where outlines are learned, or only there."""
    if not job.architecture.endswith("+snake"):
        if job.recipe.frozen_detector:
            raise TrainingError("--frozen-detector leaves nothing to learn but outlines: +snake")
        return
    if process.world_size > 1:
        raise TrainingError("outlines are learned in one process, not under torchrun")
    if job.views and not job.recipe.frozen_detector:
        raise TrainingError(
            "--views keeps what a detector gives where outlines are learned from it"
            " as it is: --frozen-detector"
        )
    for name in ("mosaic", "mixup"):
        if name in job.given:
            raise TrainingError(f"--{name} has no effect where outlines are learned")


def _find_data(job: TrainingJob, task: Task) -> DataSet[Annotations] | DataSet[ClassFolders]:
    """The data set that the options name. Raises DataError."""
    if job.data is not None and task == "classification":
        return recognise_classes(job.data)
    if job.data is not None and job.train is None and job.val is None:
        return recognise_detection(job.data, job.images)
    if job.data is not None or job.train is None or job.val is None:
        raise DataError("name the photos with --data, or two COCO files with --train and --val")
    return recognise_coco_files(job.train, job.val, job.images)


def _with_teacher(
    job: TrainingJob, process: Process, training: Content, validation: Content
) -> tuple[Content, Content]:
    """The photos to train on with what a teacher finds in them, where there is one."""
    file = job.labels_file
    if file is None or isinstance(training, ClassFolders):
        return training, validation
    if job.teacher and process.is_main:
        ask_teacher(job.teacher, training.photos, file)
    process.barrier()
    taught = add_pseudo_labels(training, file, job.distill)
    say(process, f"with {file}: {taught}")
    return taught, validation


def _make_task(
    network: nn.Module,
    variant: Variant,
    recipe: Recipe,
    process: Process,
    content: tuple[Content, Content],
    augment: Augment,
) -> DetectionTask | ClassificationTask:
    training, validation = content
    if isinstance(training, ClassFolders):
        return ClassificationTask(variant.input, recipe, process, training, validation)
    task = DetectionTask if network.snake is None else OutlineTask
    return task(network, variant.input, recipe, process, training, validation, augment)


def _cache_features(task: DetectionTask, views: int, workers: int, progress: Progress) -> None:
    """Compute the frozen stages' output for ``views`` views of each photo."""
    task.network.to(task.process.device, memory_format=torch.channels_last).eval()
    cache = FeatureCache(views, len(task.photos), task.recipe.seed)
    bar = progress.add_task("frozen features", total=views * len(task.photos))
    cache.fill(
        task.photos,
        task.collate,
        task.frozen_features,
        workers,
        lambda n: progress.advance(bar, n),
    )
    progress.remove_task(bar)
    task.keep_features(cache)


def _describe_data(process: Process, training: Content, validation: Content) -> None:
    say(process, f"training on {training}, measuring on {validation}")
    unseen = unseen_classes(training, validation)
    if unseen:
        say(process, f"no training photo shows {', '.join(unseen)}: it will not be learnt")


def _announce(trainer: Trainer) -> None:
    process, position = trainer.process, trainer.position
    processes = f", {process.world_size} processes" if process.world_size > 1 else ""
    precision = str(trainer.dtype).removeprefix("torch.")
    say(process, f"on {process.device}, {precision}{processes}")
    batches = trainer.batches
    again = f", made whole by {batches.repeated} further views of them" if batches.repeated else ""
    size = f"{batches.photos} photos in batches of {batches.batch_size}"
    say(process, f"an epoch is {size}{again}")
    if trainer.task.metric == "ap":
        say(process, f"AP as export measures it: of scores above {SCORE_FLOOR}, by pycocotools")
    if position.epoch == trainer.recipe.epochs:
        say(process, f"all {position.epoch} epochs are done; only the report is written anew")
    elif position.epoch or position.batch:
        done = f"{position.batch} of {len(trainer.batches)} batches are done"
        say(process, f"going on in epoch {position.epoch + 1}, of which {done}")


def _conclude(trainer: Trainer, variant: Variant) -> None:
    """Say what there is, and what to do with it."""
    best = trainer.output / "best.pth"
    own = find_variant(trainer.architecture).input
    size = training_side(variant.input)
    option = f" --input-size {size}" if size != training_side(own) else ""
    say(trainer.process, f"best {trainer.task.metric} {trainer.best:.3f}; weights in {best},")
    say(trainer.process, f"report in {trainer.output / 'report.html'}. To make it a model package:")
    say(
        trainer.process,
        f"  python -m export create {trainer.architecture}{option} --weights {best}"
        " --output my_models/NAME/1",
    )
