"""What is fitted tells classes apart, says how sure it is, and is affine in the features."""

import numpy as np
import pytest

from models.training.head.linear import (
    BACKGROUND,
    FOLDS,
    KINDS,
    NEVER,
    Kind,
    Samples,
    Scaling,
    calibrate,
    fit,
    log_loss,
    probabilities,
    solve,
    steps,
)
from models.training.recipe import TrainingError


def samples(
    classes: int, each: int, background: int = 0, spread: float = 0.25, seed: int = 0
) -> Samples:
    """Clouds around a corner of a cube each, far from 0 and in units of a thousand; background is
    around the middle of the corners."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([*range(classes), BACKGROUND], [*[each] * classes, background])
    middles = np.concatenate((np.eye(classes, 24), np.full((1, 24), 1 / classes)))
    features = 5 + middles[labels] + spread * rng.normal(size=(len(labels), 24))
    return Samples(1000 * features, labels, np.arange(len(labels)) % FOLDS, classes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 5])
def test_classes_are_told_apart_with_probabilities(kind: Kind, classes: int) -> None:
    told = []
    fitted = fit(kind, samples(classes, 12), lambda: told.append(1))
    assert len(told) == steps(kind)
    other = samples(classes, 40, seed=1)
    logits = fitted.classifier.logits(other.features)
    assert (logits.argmax(axis=1) == other.labels).mean() > 0.9
    answers = probabilities(kind, logits)
    assert ((answers >= 0) & (answers <= 1)).all()
    if kind == "softmax":
        np.testing.assert_allclose(answers.sum(axis=1), 1)
    # better than to answer with the classes' shares: what Platt's method is for
    share = np.full_like(answers, 1 / classes)
    with np.errstate(divide="ignore"):
        prior = np.log(share if kind == "softmax" else share / (1 - share))
    assert log_loss(kind, logits, other.labels) < 0.7 * log_loss(kind, prior, other.labels)


@pytest.mark.parametrize("kind", ["logistic", "svm"])
def test_background_is_of_no_class(kind: Kind) -> None:
    fitted = fit(kind, samples(3, 20, background=60))
    other = samples(3, 20, background=60, seed=1)
    answers = probabilities(kind, fitted.classifier.logits(other.features))
    taken = answers.max(axis=1) > 0.5
    background = other.labels == BACKGROUND
    assert taken[~background].mean() > 0.8
    assert taken[background].mean() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_photos_is_never_the_answer(kind: Kind) -> None:
    two = samples(2, 10)
    fitted = fit(kind, Samples(two.features, two.labels, two.folds, classes=3))
    answers = probabilities(kind, fitted.classifier.logits(two.features))
    assert answers[:, 2].max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_of_one_photo_is_learnt(kind: Kind) -> None:
    many = samples(3, 12, spread=0.05)
    kept = (many.labels != 1) | (np.arange(len(many.labels)) == np.argmax(many.labels == 1))
    fitted = fit(kind, many.where(kept))
    other = samples(3, 10, spread=0.05, seed=1)
    answers = fitted.classifier.logits(other.features).argmax(axis=1)
    assert (answers == other.labels).mean() > 0.9


def test_one_class_alone_is_refused() -> None:
    one = samples(1, 10)
    with pytest.raises(TrainingError, match="nothing to tell apart"):
        fit("svm", one)


def test_the_penalty_is_the_one_that_does_best_on_what_is_left_out() -> None:
    fitted = fit("logistic", samples(4, 10, spread=0.6))
    assert fitted.chosen == min(fitted.losses, key=fitted.losses.__getitem__)
    assert len(set(fitted.losses.values())) == len(fitted.losses)


@pytest.mark.parametrize("each", [4, 10], ids=["fewer samples than features", "more"])
def test_scaling_is_part_of_what_is_fitted(each: int) -> None:
    data = samples(3, each)
    scaling = Scaling.of(data.features)
    scaled = scaling.apply(data)
    assert scaled.features.shape[1] == min(3 * each, 24)
    np.testing.assert_allclose(scaled.features.mean(axis=0), 0, atol=1e-9)
    assert np.square(scaled.features).sum(axis=1).mean() == pytest.approx(1)
    inner = solve("svm", 1.0, scaled)
    whole = scaling.undo(inner)
    np.testing.assert_allclose(
        whole.logits(data.features), inner.logits(scaled.features), atol=1e-9
    )


def test_few_samples_are_fitted_as_they_would_be_among_all_features() -> None:
    data = samples(3, 5)
    reduced = Scaling.of(data.features)
    full = Scaling(reduced.mean, reduced.factor)
    first, second = (s.undo(solve("softmax", 1.0, s.apply(data))) for s in (reduced, full))
    np.testing.assert_allclose(first.weight, second.weight, rtol=1e-2, atol=1e-8)


def test_calibration_finds_the_slope_that_scores_were_made_with() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, 1))
    labels = np.where(rng.random(20_000) < 1 / (1 + np.exp(-(2 * scores[:, 0] - 1))), 0, BACKGROUND)
    slopes, offsets = calibrate(scores, labels)
    assert slopes[0] == pytest.approx(2, abs=0.1)
    assert offsets[0] == pytest.approx(-1, abs=0.1)


def test_calibration_keeps_the_order_and_claims_little_of_few() -> None:
    """Scores of four samples that a slope without end would separate, and some that are in the
    wrong order."""
    labels = np.array([0, 0, BACKGROUND, BACKGROUND])
    scores = np.array([[1.0, -1.0], [2.0, -2.0], [-1.0, 1.0], [-2.0, 2.0]])
    slopes, offsets = calibrate(scores[:, :1], labels)
    sure = 1 / (1 + np.exp(-(slopes * scores[:, :1] + offsets)))
    assert sure.max() < 0.9  # of two, Platt's target is 3/4
    assert calibrate(scores[:, 1:], labels)[0][0] > 0


def test_log_loss_is_the_mean_over_what_was_to_be_answered() -> None:
    logits, labels = np.log(np.array([[3.0, 1.0], [1.0, 4.0]])), np.array([0, 0])
    assert log_loss("softmax", logits, labels) == pytest.approx(-np.log([3 / 4, 1 / 5]).mean())
    # yes with 3/4 and 1/2, no with 1/2 and 1/5
    assert log_loss("svm", logits, labels) == pytest.approx(
        -np.log([3 / 4, 1 / 2, 1 / 2, 1 / 5]).mean()
    )
    assert log_loss("softmax", np.array([[0.0, NEVER]]), np.array([0])) < 1e-9
