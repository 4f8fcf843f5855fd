"""A run that trains an R-CNN: proposals, features, SVMs, box regressions, and its report."""

import time
from itertools import pairwise

from models.checkpoints import Checkpoint, StateDict, save_checkpoint
from models.datasets.content import Annotations
from models.evaluation import BoxRow
from models.rcnn import RCNN, SETTINGS
from models.training.console import progress_bar, say
from models.training.devices import Process, choose_precision
from models.training.head.features import NETWORK, key_of
from models.training.head.fitting import FILE, cached, to_samples, train
from models.training.head.job import HeadJob
from models.training.head.linear import Fit
from models.training.head.regions import (
    NEAR,
    PROPOSING_PHOTOS,
    RegionExtractor,
    detect,
    regress,
    set_layers,
    views_of_regions,
)
from models.training.report import TrainingReport, judge_detections, write_report
from models.variants import VARIANTS, Variant
from models.weights import load_start


def train_rcnn(
    job: HeadJob,
    variant: Variant,
    state: StateDict,
    content: tuple[Annotations, Annotations],
    process: Process,
) -> None:
    """Leave best.pth and report.html in the output. state: of the network's classifier. Raises
    TrainingError, CheckpointError or PhotoError."""
    training, validation = content
    classes = len(training.categories)
    network: RCNN = variant.build(classes)
    _load(network, state, job, process)
    dtype = choose_precision(job.precision, process.device)
    extract = RegionExtractor(network, variant.input, process.device, dtype)
    job.output.mkdir(parents=True, exist_ok=True)
    times = [time.monotonic()]
    with progress_bar(process) as progress:
        bar = progress.add_task("proposals", total=min(len(training.photos), PROPOSING_PHOTOS))
        views = views_of_regions(
            training, job.background, job.seed, lambda n: progress.advance(bar, n)
        )
    times.append(time.monotonic())
    features = cached(
        job.output / FILE,
        key_of(network.classifier, variant.input, views, [str(dtype), network.crop]),
        len(views),
        process,
        lambda on_progress: {NETWORK: extract.features(views, on_progress)},
    )[NETWORK]
    times.append(time.monotonic())
    samples = to_samples(features, views, classes)
    fitted, mined = train(
        job.kind, samples.where(samples.labels != NEAR), job, process, f"{job.kind} on regions"
    )
    set_layers(network, fitted, regress(network.box_coder, features, views, classes))
    times.append(time.monotonic())
    best = job.output / "best.pth"
    save_checkpoint(Checkpoint(network.state_dict(), job.features, training.categories), best)
    with progress_bar(process) as progress:
        bar = progress.add_task("report", total=len(validation.photos))
        rows, costs = detect(extract, validation, lambda n: progress.advance(bar, n))
    names = ("proposals", "features", "classifiers")
    about = {
        "trained on": str(training),
        "measured on": str(validation),
        "regions trained on": f"{len(views)}",
        "hard negatives": ", ".join(map(str, mined)),
        **{f"{name} measured on": f"{value:.2f}" for name, value in costs.items()},
        **{
            f"seconds for {name}": f"{end - start:.1f}"
            for name, (start, end) in zip(names, pairwise(times), strict=True)
        },
    }
    report = _report(job, about, fitted, validation, rows)
    write_report(job.output / "report.html", report)
    say(process, f"AP50 {report.evaluation.ap50 or 0:.3f}; weights in {best},")
    say(process, f"report in {job.output / 'report.html'}. To make it a model package:")
    command = f"python -m export create {job.features} --weights {best} --output my_models/NAME/1"
    say(process, f"  {command}")


def _load(network: RCNN, state: StateDict, job: HeadJob, process: Process) -> None:
    """Give ``network`` the features of a classifier's ``state``. Raises CheckpointError."""
    name = SETTINGS[job.features].classifier
    classifier = VARIANTS[name].build(network.class_logits.out_features)
    say(process, f"features: {load_start(classifier, state, str(job.weights or name))}")
    layer = f"{classifier.class_layer}."
    kept = {k: v for k, v in classifier.state_dict().items() if not k.startswith(layer)}
    network.classifier.load_state_dict(kept)


def _report(
    job: HeadJob,
    about: dict[str, str],
    fitted: Fit,
    validation: Annotations,
    rows: list[BoxRow],
) -> TrainingReport:
    paths = {photo.image_id: photo.path for photo in validation.photos}
    losses = {f"C = {c:g}": f"log loss {loss:.4f}" for c, loss in fitted.losses.items()}
    judged = judge_detections(validation.to_coco(), rows, paths.__getitem__)
    return TrainingReport(f"{job.features}, {job.kind}", about, losses, [], *judged)
