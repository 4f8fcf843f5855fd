"""Training a classifier's class layer, on whole photos or on boxes of them."""

import time

from models.checkpoints import Checkpoint, StateDict, save_checkpoint
from models.datasets.content import Annotations, ClassFolders
from models.stated import Stated
from models.training.console import say
from models.training.devices import Process, choose_precision
from models.training.head.features import NETWORK, FeatureExtractor, compute, key_of
from models.training.head.fitting import FILE, cached, to_samples, train
from models.training.head.job import HeadJob
from models.training.head.linear import Fit, probabilities
from models.training.head.report import AnyContent, HeadRun, beside, write_head_report
from models.training.head.views import CONTEXT, View, background_of, boxes_of, whole_photos
from models.variants import Variant
from models.weights import load_start
from service.imaging.regions import warped


def train_classifier(
    job: HeadJob,
    variant: Variant,
    state: StateDict,
    content: tuple[AnyContent, AnyContent],
    process: Process,
) -> None:
    """Leave best.pth and report.html in the output. state: of the network. Raises TrainingError,
    CheckpointError or PhotoError."""
    training, validation = content
    network = variant.build(len(training.categories))
    say(process, f"features: {load_start(network, state, job.features)}")
    spec = warped(variant.input) if isinstance(training, Annotations) else variant.input
    dtype = choose_precision(job.precision, process.device)
    extract = FeatureExtractor(network, spec, process.device, dtype)
    trained_on, measured_on = views_of(training, job), views_of(validation, job)
    views = [*trained_on, *measured_on]
    job.output.mkdir(parents=True, exist_ok=True)

    times = [time.monotonic()]
    features = cached(
        job.output / FILE,
        key_of(network, spec, views, [job.baseline, str(dtype)]),
        len(views),
        process,
        lambda on_progress: compute(extract, views, job.baseline, on_progress),
    )
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


def views_of(content: AnyContent, job: HeadJob) -> list[View]:
    """What is classified of ``content``; those of a photo follow each other."""
    if isinstance(content, ClassFolders):
        return whole_photos(content)
    number = 0 if job.kind == "softmax" else job.background
    views = [*boxes_of(content), *background_of(content, number, job.seed)]
    return sorted(views, key=lambda view: view.path)


def _save(extract: FeatureExtractor, fitted: Fit, training: AnyContent, job: HeadJob) -> None:
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
            f" region_padding {CONTEXT.padding:.3f}, as it was trained",
        )
