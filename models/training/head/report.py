"""What is said of a trained class layer: its accuracy, and what that is worth beside others'."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets.content import Annotations, Categories, ClassFolders
from models.training.head.features import HOG, NETWORK, Values
from models.training.head.linear import BACKGROUND, Fit, Kind
from models.training.head.views import View
from models.training.report import TrainingReport, judge_classifications, write_report
from models.training.report.galleries import Marked

AnyContent = Annotations | ClassFolders


@dataclass(frozen=True)
class HeadRun:
    """What a run has come to.

    fits: of each kind of features. answers: the probabilities [N, C] of each for ``views``, which
    are measured on. mined: see `models.training.head.mining`; empty without background.
    seconds: that each part took.
    """

    architecture: str
    kind: Kind
    content: tuple[AnyContent, AnyContent]
    views: Sequence[View]
    fits: Mapping[str, Fit]
    answers: Mapping[str, Values]
    mined: Sequence[int]
    seconds: Mapping[str, float]

    @property
    def categories(self) -> Categories:
        return self.content[0].categories

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.array([view.label for view in self.views])

    @property
    def objects(self) -> NDArray[np.bool_]:
        """Which views are of a class."""
        return self.labels != BACKGROUND

    def top1(self, name: str) -> float:
        """Of the answers of one kind of features."""
        right = self.answers[name].argmax(axis=1) == self.labels
        return float(right[self.objects].mean())

    @property
    def chance(self) -> float:
        """Top-1 of who always says the most frequent class."""
        counts = np.bincount(self.labels[self.objects])
        return float(counts.max() / counts.sum())

    @property
    def false_alarms(self) -> float | None:
        """Share of the background that is taken for an object; None without background."""
        background = self.answers[NETWORK][~self.objects]
        return float((background.max(axis=1) > 0.5).mean()) if len(background) else None


def write_head_report(path: Path, run: HeadRun) -> None:
    """Raises OSError."""
    judged = [view for view in run.views if view.label != BACKGROUND]
    evaluation, galleries = judge_classifications(
        [name for _, name in run.categories],
        run.answers[NETWORK][run.objects],
        run.labels[run.objects].tolist(),
        [view.path for view in judged],
        _marks(run.content[1], judged),
    )
    report = TrainingReport(
        f"{run.kind} on features of {run.architecture}",
        _about(run),
        {f"C = {c:g}": f"log loss {loss:.4f}" for c, loss in run.fits[NETWORK].losses.items()},
        [],
        evaluation,
        galleries,
        beside(run),
    )
    write_report(path, report)


def beside(run: HeadRun) -> dict[str, str]:
    """Top-1 of the classifier, of the baseline and of chance."""
    figures = {name: run.top1(name) for name in run.answers}
    names = {NETWORK: f"{run.architecture} + {run.kind}", HOG: "HOG + linear SVM"}
    return {
        **{names[name]: f"top-1 {figure:.3f}" for name, figure in figures.items()},
        "always the most frequent class": f"top-1 {run.chance:.3f}",
    }


def _about(run: HeadRun) -> dict[str, str]:
    training, validation = run.content
    false_alarms = run.false_alarms
    return {
        "architecture": run.architecture,
        "classifier": run.kind,
        "trained on": str(training),
        "measured on": str(validation),
        **({"hard negatives": ", ".join(map(str, run.mined))} if run.mined else {}),
        **(
            {"background taken for an object": f"{100 * false_alarms:.1f} %"}
            if false_alarms is not None
            else {}
        ),
        "C": f"{run.fits[NETWORK].chosen:g}",
        **{f"seconds for {name}": f"{value:.1f}" for name, value in run.seconds.items()},
        "device": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "PyTorch": version("torch"),
        "scikit-learn": version("scikit-learn"),
    }


def _marks(content: Annotations | ClassFolders, views: Sequence[View]) -> list[Marked | None]:
    """Where each view lies in its photo."""
    if not isinstance(content, Annotations):
        return [None] * len(views)
    photos = {photo.path: photo for photo in content.photos}
    return [
        Marked((left, top, right - left, bottom - top), photo.width, photo.height)
        for view in views
        if view.box is not None
        for left, top, right, bottom in [view.box]
        for photo in [photos[view.path]]
    ]
