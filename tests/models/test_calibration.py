"""Scores held to how often they are right, against sums in plain Python."""

import math

import numpy as np
import pytest

from models.calibration import BINS, SHOWN, Judged
from models.evaluation import BoxRow, evaluate_detections

HERE, THERE = (10, 10, 40, 40), (90, 90, 40, 40)


def judged(*rows: tuple[float, bool], objects: int) -> Judged:
    scores, right = zip(*rows, strict=True)
    return Judged(np.array(scores, np.float64), np.array(right), objects)


def naive_error(scores: list[float], right: list[bool]) -> float:
    total = shown = 0.0
    for place in range(BINS):
        inside = [
            i
            for i, score in enumerate(scores)
            if score > SHOWN and min(int(score * BINS), BINS - 1) == place
        ]
        mean = sum(scores[i] for i in inside)
        total += abs(mean - sum(right[i] for i in inside))
        shown += len(inside)
    return total / shown


def test_calibration_error_is_the_papers() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 500)
    right = rng.uniform(0, 1, 500) < scores**2
    error = Judged(scores, right, 300).calibration_error()
    assert error == pytest.approx(naive_error(scores.tolist(), right.tolist()))
    assert error == pytest.approx(1 / 6, abs=0.03)  # the mean of s - s^2
    honest = Judged(scores, rng.uniform(0, 1, 500) < scores, 300).calibration_error()
    assert honest is not None
    assert honest < 0.1


def test_the_temperature_undoes_what_sharpened_scores() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, 20_000)
    right = rng.uniform(0, 1, 20_000) < 1 / (1 + np.exp(-logits))
    sharp = Judged(1 / (1 + np.exp(-2 * logits)), right, 10_000)
    temperature = sharp.best_temperature()
    assert temperature == pytest.approx(2, abs=0.1)
    cooled = sharp.at_temperature(2)
    np.testing.assert_allclose(cooled.scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    error, before = cooled.calibration_error(), sharp.calibration_error()
    assert error is not None
    assert before is not None
    assert error < 0.02 < 0.08 < before


def test_no_temperature_fits_better() -> None:
    """Negative log-likelihood, summed in plain Python."""
    rng = np.random.default_rng(2)
    scores, right = rng.uniform(0, 1, 200), rng.uniform(0, 1, 200) < 0.4
    shown = Judged(scores, right, 100)

    def loss(temperature: float) -> float:
        total = 0.0
        for score, is_right in zip(scores.tolist(), right.tolist(), strict=True):
            if score > SHOWN:
                p = 1 / (1 + math.exp(-math.log(score / (1 - score)) / temperature))
                total -= math.log(p if is_right else 1 - p)
        return total

    best = shown.best_temperature()
    assert loss(best) <= min(loss(t / 100) for t in range(25, 401, 5)) + 1e-9


def test_a_score_of_1_is_in_the_last_bin() -> None:
    (row,) = judged((1.0, True), (0.99, False), objects=1).bins()
    assert (row.score, row.precision, row.number) == (pytest.approx(0.995), 0.5, 2)


def test_precision_and_recall_above_a_threshold() -> None:
    rows = judged((0.9, True), (0.6, False), (0.3, True), (0.1, False), objects=4)
    assert rows.at(0.95) == (1, 0)
    assert rows.at(0.6) == (1, 0.25)  # a score counts if it is above the threshold
    assert rows.at(0.59) == (0.5, 0.25)
    assert rows.at(0.05) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("rows", "objects", "best"),
    [
        # all right above .3, all wrong below: any threshold from .2 to .29 is as good
        ([(0.9, True), (0.3, True), (0.2, False)], 2, 0.25),
        # F1 above .85, .5, .2: 2/4, 2/5, 4/6
        ([(0.9, True), (0.6, False), (0.3, True)], 3, 0.15),
        ([(0.9, True), (0.6, False)], 3, 0.75),
        ([(0.9, False)], 3, None),
    ],
    ids=["a gap", "one more is worth a wrong one", "the rest is wrong", "nothing is right"],
)
def test_the_threshold_has_the_best_f1(
    rows: list[tuple[float, bool]], objects: int, best: float | None
) -> None:
    assert judged(*rows, objects=objects).best_threshold() == pytest.approx(best)


def test_nothing_found_says_nothing_of_scores() -> None:
    nothing = Judged(np.zeros(0), np.zeros(0, dtype=bool), 3)
    assert nothing.best_threshold() is None
    assert nothing.calibration_error() is None
    assert nothing.best_temperature() == 1


def test_detections_are_judged_by_photo_and_class_without_those_in_crowds() -> None:
    annotations = {
        "images": [{"id": 1, "width": 200, "height": 200}, {"id": 2, "width": 200, "height": 200}],
        "categories": [{"id": 8, "name": "cat"}, {"id": 12, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 8, "bbox": list(HERE)},
            {"id": 2, "image_id": 2, "category_id": 8, "bbox": list(HERE)},
            {"id": 3, "image_id": 2, "category_id": 12, "bbox": list(THERE), "iscrowd": 1},
        ],
    }
    rows = [
        BoxRow(1, 8, HERE, 0.9),
        BoxRow(1, 8, HERE, 0.8),  # found already
        BoxRow(1, 12, HERE, 0.7),  # another class
        BoxRow(2, 8, THERE, 0.6),
        BoxRow(2, 12, THERE, 0.5),  # in a crowd
    ]
    found = evaluate_detections(annotations, rows).judged
    order = np.argsort(-found.scores)
    assert found.scores[order].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert found.right[order].tolist() == [True, False, False, False]
    assert found.objects == 2
