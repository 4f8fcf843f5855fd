"""Where answers differ, what makes them agree is found and named."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.progress import SILENT, ProgressReporter
from export.proof.alternatives import Alternative, usual
from export.proof.answers import OwnerAnswers
from export.proof.comparison import (
    Disagreement,
    check_network,
    compare,
    detections,
    probabilities,
)
from export.proof.explanation import explain, explain_classes
from export.proof.pixels import read_unrounded
from export.settings import Settings
from export.trained_model import TrainedModel, load_model
from models.anchors import efficientdet_anchors
from models.checkpoints import Checkpoint, save_checkpoint
from models.variants import VARIANTS
from service.manifest import read_manifest
from service.matching import Detections
from service.package import ModelPackage, open_package
from tests.paths import ROOT

NAMES = ("cat", "dog", "cow", "owl")
PHOTOS = ("cat.jpg", "coffee.jpg", "rocket.jpg")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A ResNet of 64 pixels whose answers to photos differ."""
    torch.manual_seed(1)
    network = VARIANTS["resnet18"].build(len(NAMES))
    with torch.no_grad():
        network.classifier.weight *= 40
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    labels = tuple(enumerate(NAMES))
    save_checkpoint(Checkpoint(network.state_dict(), "resnet18", labels), path)
    return load_model("resnet18", path, Settings(input_size=64))


@pytest.fixture(scope="module")
def detector(store: Path) -> TrainedModel:
    """The one that was trained on VOC, at half of its size for time."""
    labels = read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json").labels
    weights = ROOT / "models" / "pretrained" / "efficientdet_lite0_voc.safetensors"
    return load_model("efficientdet_lite0", weights, Settings(input_size=160), labels)


def owner_of(package: ModelPackage, folder: Path) -> OwnerAnswers:
    """Who has the answers of ``package``."""
    paths = tuple(folder / name for name in PHOTOS)
    if package.manifest.task == "classification":
        return OwnerAnswers("user_model", "mine.py", paths, tuple(probabilities(package, paths)))
    overlap = package.manifest.defaults.iou_threshold
    found = detections(package, paths, 0.05, overlap, read=read_unrounded)
    return OwnerAnswers("user_model", "mine.py", paths, tuple(found))


def explained(
    model: TrainedModel,
    owner: OwnerAnswers,
    progress: ProgressReporter = SILENT,
    seconds: float = 100,
    causes: Sequence[str] = (),
) -> str:
    """causes: which alone to try, for time."""
    shared = model.remembering()

    def reopen(alternative: Alternative) -> ModelPackage | None:
        other = shared.other(alternative)
        return None if other is None else other.package()

    package = shared.package()
    alternatives = [
        alternative
        for alternative in usual(package.manifest, model.anchors)
        if not causes or alternative.cause in causes
    ]
    found = compare(owner, package)
    return explain(owner, package, found, reopen, alternatives, progress, seconds)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            Settings(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
            "normalisation: with --mean 0 0 0 --std 1 1 1 all 3 agree",
        ),
        (Settings(activation="sigmoid"), "activation: with --activation sigmoid all 3 agree"),
        (
            Settings(resize="stretch"),
            "resize: with --resize stretch --interpolation bilinear all 3 agree",
        ),
        pytest.param(
            Settings(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize="stretch"),
            "normalisation and resize: with --mean 0.5 0.5 0.5 --std 0.5 0.5 0.5",
            marks=pytest.mark.full,  # two rounds of all alternatives
        ),
        (
            Settings(channel_order="bgr"),
            'channel_order = "bgr" in a file of --input all 3 agree',
        ),
    ],
    ids=["mean and std", "sigmoid", "stretch", "two at once", "channels"],
)
def test_what_differs_is_named(
    model: TrainedModel, photos: Path, changes: Settings, words: str
) -> None:
    other = model.other(Alternative("", changes))
    assert other is not None
    assert words in explained(model, owner_of(other.package(), photos))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (Settings(box_weights=(10.0, 5.0)), "box coder: with box_weights = [10.0, 5.0] in a file"),
        (
            Settings(anchor_sizes=efficientdet_anchors(4.0).sizes),
            'anchors: with --anchor-sizes "32,40.3175,50.7968 64,',
        ),
        (Settings(iou_threshold=0.3), "suppression: with --iou-threshold 0.3 all"),
        (Settings(channel_order="bgr"), 'normalisation: with channel_order = "bgr" in a file'),
        (Settings(antialias=False), "resize: with --interpolation bilinear --no-antialias all"),
        (Settings(resize="stretch"), "resize: with --resize stretch --interpolation bilinear all"),
    ],
    ids=["box coder", "anchors", "suppression", "channels", "antialias", "stretch"],
)
def test_what_differs_of_a_detector_is_named(
    detector: TrainedModel, photos: Path, changes: Settings, words: str
) -> None:
    other = detector.other(Alternative("", changes))
    assert other is not None
    owner = owner_of(other.package(), photos)
    with pytest.raises(Disagreement):
        check_network(owner, detector.package())
    causes = (words.partition(":")[0], "suppression")
    assert words in explained(detector, owner, causes=causes)


def test_anchors_that_are_not_usual_are_told_from_their_scores(
    detector: TrainedModel, photos: Path
) -> None:
    other = detector.other(Alternative("", Settings(anchor_sizes=efficientdet_anchors(4.4).sizes)))
    assert other is not None
    owner = owner_of(other.package(), photos)
    package = detector.package()
    tried = [Alternative("anchors")]
    said = explain(owner, package, compare(owner, package), lambda _: None, tried)
    assert said.endswith(
        "so it is in the anchors or the box coder: say yours with --anchor-sizes,"
        " --aspect-ratios or box_weights"
    )


def test_a_detectors_classes_in_another_order_are_noticed(
    detector: TrainedModel, photos: Path
) -> None:
    owner = owner_of(detector.package(), photos)
    permuted = tuple(
        Detections(a.boxes, a.scores, (a.labels + 3) % 20)
        for a in owner.answers
        if isinstance(a, Detections)
    )
    said = explained(detector, replace(owner, answers=permuted))
    assert re.match(r"classes: (your labels are the package's|what you call)", said)


@pytest.mark.full  # all alternatives
def test_what_nothing_usual_explains_is_said_to_be_so(model: TrainedModel, photos: Path) -> None:
    owner = owner_of(model.package(), photos)
    noise = np.random.default_rng(0).dirichlet(np.ones(len(NAMES)) / 2, len(PHOTOS))
    said = explained(model, replace(owner, answers=tuple(noise)))
    assert said.startswith("none of the usual alternatives of activation, normalisation, resize")


class Told(ProgressReporter):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)


def test_the_search_says_what_it_tries_and_ends_in_time(model: TrainedModel, photos: Path) -> None:
    owner = owner_of(model.package(), photos)
    answers = (np.eye(len(NAMES))[0], np.eye(len(NAMES))[1], np.full(len(NAMES), 0.25))
    told = Told()
    said = explained(model, replace(owner, answers=answers), told, seconds=0)
    assert told.steps == ["trying the usual alternatives of activation"]
    assert said == (
        "none of the usual alternatives of activation, normalisation, resize explains it, of those"
        " tried in 0 minutes"
    )


def test_classes_in_another_order_are_noticed(model: TrainedModel, photos: Path) -> None:
    owner = owner_of(model.package(), photos)
    swapped = tuple(answer[[1, 0, 3, 2]] for answer in owner.answers)
    said = explain_classes(replace(owner, answers=swapped), model.package())
    assert said is not None
    assert said.startswith("classes: what you call ")
    assert explain_classes(owner, model.package()) is None


def test_a_detectors_labels_that_count_a_background_are_noticed(store: Path, photos: Path) -> None:
    package = open_package(store / "efficientdet_lite0_voc" / "1")
    paths = (photos / "cat.jpg", photos / "photographer.jpg")
    found = detections(package, paths, 0.05, 0.5)
    shifted = tuple(Detections(d.boxes, d.scores, d.labels + 1) for d in found)
    said = explain_classes(OwnerAnswers("user_model", "m", paths, shifted), package)
    assert said is not None
    assert said.startswith("classes: your labels are the package's +1; return them as names, or")
