"""An owner's answers beside a package's: what agrees, what does not, and what says nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.proof.answers import OwnerAnswers, ProofError
from export.proof.comparison import (
    Disagreement,
    check_network,
    detections,
    probabilities,
    prove,
)
from service.matching import Detections
from service.package import ModelPackage, open_package

PHOTOS = ("cat.jpg", "astronaut.jpg", "photographer.jpg", "coffee.jpg")


@pytest.fixture(scope="module")
def detector(store: Path) -> ModelPackage:
    return open_package(store / "efficientdet_lite0_voc" / "1")


@pytest.fixture(scope="module")
def found(detector: ModelPackage, photos: Path) -> OwnerAnswers:
    """What the package itself finds, as if its owner had."""
    paths = tuple(photos / name for name in PHOTOS)
    answers = detections(detector, paths, 0.05, 0.5)
    return OwnerAnswers("user_model", "mine.py", paths, tuple(answers))


def changed(owner: OwnerAnswers, change: Callable[[Detections], Detections]) -> OwnerAnswers:
    answers = tuple(change(a) for a in owner.answers if isinstance(a, Detections))
    return OwnerAnswers(owner.source, owner.name, owner.photos, answers)


def test_the_same_answers_are_a_proof(detector: ModelPackage, found: OwnerAnswers) -> None:
    graph = detector.manifest.parity
    parity = prove(found, detector, graph)
    assert (parity.reference, parity.images, parity.agreeing) == ("user_model", len(PHOTOS), 1.0)
    assert parity.detections_compared == sum(map(len, found.answers)) > 40
    assert parity.max_score_difference < 1e-6
    assert parity.graph == graph
    assert parity.compared_with == "compared with your own model"
    assert [allowance.cause.partition(":")[0] for allowance in parity.allowances] == [
        "resize",
        "thresholds and cuts",
        "suppression",
    ]


def test_rounding_is_allowed_and_measured(detector: ModelPackage, found: OwnerAnswers) -> None:
    near = changed(found, lambda d: Detections(d.boxes + 0.3, d.scores * 0.99, d.labels))
    parity = prove(near, detector)
    assert parity.agreeing > 0.97
    assert 0.25 < parity.max_box_difference_px < 0.35
    assert 0.005 < parity.max_score_difference < 0.01


@pytest.mark.parametrize(
    "change",
    [
        lambda d: Detections(d.boxes, d.scores, d.labels + 1),
        lambda d: Detections(d.boxes[:, [1, 0, 3, 2]], d.scores, d.labels),
        lambda d: Detections(d.boxes, np.minimum(d.scores + 0.1, 1), d.labels),
        lambda d: Detections(d.boxes * 1.1, d.scores, d.labels),
        lambda d: d.select(np.arange(0, len(d), 2)),
    ],
    ids=["labels", "rows before columns", "scores", "another scale", "half of them"],
)
def test_other_answers_are_none(
    detector: ModelPackage, found: OwnerAnswers, change: Callable[[Detections], Detections]
) -> None:
    with pytest.raises(Disagreement, match=r"detections on both sides have their match"):
        prove(changed(found, change), detector)


def test_nothing_found_proves_nothing(detector: ModelPackage, found: OwnerAnswers) -> None:
    nothing = changed(found, lambda d: d.select(np.array([], dtype=int)))
    with pytest.raises(ProofError, match=r"finds nothing above 0.05 in 4 photos"):
        prove(nothing, detector)


def test_an_excuse_for_all_proves_nothing(detector: ModelPackage, found: OwnerAnswers) -> None:
    """Scores that all lie at the lowest could each be missing."""

    def flat(d: Detections) -> Detections:
        return Detections(
            np.tile(np.float64([0, 0, 5, 5]), (len(d), 1)), d.scores * 0 + 0.06, d.labels
        )

    with pytest.raises(Disagreement):
        prove(changed(found, flat), detector)


class Shifted:
    """The package's session, whose best boxes lie elsewhere: as of a network that reads pixels
    before they are rounded."""

    def __init__(self, package: ModelPackage) -> None:
        self._session = package.session

    def run(self, names: list[str] | None, feeds: dict[str, Any]) -> list[Any]:
        outputs = [output.copy() for output in self._session.run(names, feeds)]
        outputs[1][:, :2] += 40
        return outputs


def test_what_the_network_says_before_pixels_are_rounded_explains_a_difference(
    detector: ModelPackage, found: OwnerAnswers
) -> None:
    network = ModelPackage(detector.manifest, Shifted(detector))
    answers = tuple(detections(network, found.photos, 0.05, 0.5))
    owner = OwnerAnswers("user_model", "mine.py", found.photos, answers)
    check_network(owner, network)
    parity = prove(owner, detector, network=network)
    rounded = parity.allowances[0].answers
    assert 4 <= rounded <= 4 * len(PHOTOS)  # two of a photo, on either side
    for other in (None, detector):  # which has nothing of them either
        with pytest.raises(Disagreement):
            prove(owner, detector, network=other)


def test_a_higher_threshold_of_the_owners_is_taken_for_it(
    detector: ModelPackage, found: OwnerAnswers
) -> None:
    few = changed(found, lambda d: d.select(np.flatnonzero(d.scores > 0.3)))
    parity = prove(few, detector)
    assert 0 < parity.detections_compared < 40
    assert parity.agreeing == 1.0


@pytest.mark.parametrize("limit", [10, 7], ids=["a usual one", "one of their own"])
def test_a_limit_of_the_owners_is_taken_for_it(
    detector: ModelPackage, found: OwnerAnswers, limit: int
) -> None:
    assert sum(len(answer) > limit for answer in found.answers) > 1
    few = changed(found, lambda d: d.select(np.arange(min(limit, len(d)))))
    parity = prove(few, detector)
    assert parity.detections_compared == sum(map(len, few.answers))
    assert f"the last of {limit}" in parity.allowances[1].allowed


@pytest.fixture(scope="module")
def classifier(store: Path) -> ModelPackage:
    return open_package(store / "efficientnet_lite0_imagenet" / "1")


def test_probabilities_are_proven_or_not(classifier: ModelPackage, photos: Path) -> None:
    paths = tuple(photos / name for name in PHOTOS)
    answers = tuple(probabilities(classifier, paths))
    owner = OwnerAnswers("user_results", "p.csv", paths, answers)
    assert [allowance.answers for allowance in prove(owner, classifier).allowances] == [0]
    parity = prove(owner, classifier)
    assert (parity.reference, parity.agreeing) == ("user_results", 1.0)
    best = answers[0].argmax()
    partly = tuple(np.where(np.arange(len(a)) == best, a, np.nan) for a in answers)
    assert prove(OwnerAnswers("user_results", "p.csv", paths, partly), classifier).agreeing == 1.0
    shifted = tuple(np.roll(a, 1) for a in answers)
    with pytest.raises(Disagreement, match="of 4 photos have the same probabilities"):
        prove(OwnerAnswers("user_results", "p.csv", paths, shifted), classifier)


class Rolled:
    """The package's session with each probability the next class's."""

    def __init__(self, package: ModelPackage) -> None:
        self._session = package.session

    def run(self, names: list[str] | None, feeds: dict[str, Any]) -> list[Any]:
        return [np.roll(output, 1, axis=1) for output in self._session.run(names, feeds)]


def test_a_classifiers_rounding_is_told_where_its_network_agrees(
    classifier: ModelPackage, photos: Path
) -> None:
    network = ModelPackage(classifier.manifest, Rolled(classifier))
    paths = tuple(photos / name for name in PHOTOS)
    owner = OwnerAnswers("user_model", "m.py", paths, tuple(probabilities(network, paths)))
    parity = prove(owner, classifier, network=network)
    assert [allowance.answers for allowance in parity.allowances] == [len(PHOTOS)]
    assert parity.max_score_difference > 0.03
    with pytest.raises(Disagreement):
        prove(owner, classifier, network=classifier)


def test_the_same_answer_to_every_photo_proves_nothing(
    classifier: ModelPackage, photos: Path
) -> None:
    paths = (photos / "cat.jpg", photos / "cat.jpg")
    owner = OwnerAnswers("user_model", "m.py", paths, tuple(probabilities(classifier, paths)))
    with pytest.raises(ProofError, match="answers 2 photos alike"):
        prove(owner, classifier)
