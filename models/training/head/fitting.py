"""Features and classifiers with their progress, for every kind of run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.training.console import progress_bar, say
from models.training.devices import Process
from models.training.head.features import Features, Values, read_features, save_features
from models.training.head.job import HeadJob
from models.training.head.linear import BACKGROUND, Fit, Kind, Samples, fit, steps
from models.training.head.mining import hard_negatives
from models.training.head.views import View

FILE = "features.npz"


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


def cached(
    path: Path,
    key: str,
    number: int,
    process: Process,
    compute: Callable[[Callable[[int], None]], Features],
) -> Features:
    """The features of ``number`` views that an earlier run has left at ``path``, or what
    ``compute`` gives, which is told of its progress."""
    kept = read_features(path, key)
    if kept is not None:
        say(process, f"features are those of {path}")
        return kept
    with progress_bar(process) as progress:
        bar = progress.add_task("features", total=number)
        features = compute(lambda n: progress.advance(bar, n))
    save_features(path, key, features)
    return features
