"""Linear classifiers, by scikit-learn: softmax regression, logistic regressions, linear SVMs.

Each is a weight and a bias for every class, as a network's class layer has them. What else is
affine goes into these: how features are centred and scaled, and the calibration of an SVM's scores
(Platt, "Probabilistic outputs for support vector machines", 1999). A softmax of a softmax
regression's logits, and a sigmoid of the others', are probabilities.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from models.training.recipe import TrainingError

Kind = Literal["softmax", "logistic", "svm"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Values = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

BACKGROUND = -1  # the label of what is of no class
FOLDS = 5
# Of scikit-learn's C, the inverse of the penalty's weight. Features have a mean square of 1 here.
GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
MIDDLE = GRID[len(GRID) // 2]
MOST_COMPARED = 500  # samples that C is chosen on: more take minutes, and choose the same
MOST_STEPS = 2000  # of scikit-learn's solvers
NEVER = -30.0  # the logit of a class that no sample is of
LEAST_SLOPE = 0.1  # of a calibration, so that a class of few samples keeps the order of its scores


@dataclass(frozen=True)
class LinearClassifier:
    """``weight`` [C, D] and ``bias`` [C]."""

    weight: Values
    bias: Values

    def logits(self, features: Values) -> Values:
        """[N, C] of ``features`` [N, D]."""
        return features @ self.weight.T + self.bias

    def scaled(self, slopes: Values, offsets: Values) -> "LinearClassifier":
        """The one whose logits are ``slopes`` times these, and ``offsets``, [C] each."""
        return LinearClassifier(self.weight * slopes[:, None], self.bias * slopes + offsets)


@dataclass(frozen=True)
class Scaling:
    """(x - ``mean``) * ``factor``: features with a mean of 0 and lengths of about 1.

    basis: orthonormal rows [N, D] of the space that fewer samples than features span, to whose
        coordinates they are reduced: a penalised fit lies in it, and takes a tenth of the time.
    """

    mean: Values
    factor: float
    basis: Values | None = None

    @classmethod
    def of(cls, features: Values) -> "Scaling":
        mean = features.mean(axis=0)
        centred = features - mean
        length = float(np.sqrt(np.square(centred).sum(axis=1).mean()))
        basis = None
        if features.shape[0] < features.shape[1]:
            basis = np.linalg.svd(centred, full_matrices=False)[2]
        return cls(mean, 1 / max(length, 1e-12), basis)

    def apply(self, samples: "Samples") -> "Samples":
        scaled = (samples.features - self.mean) * self.factor
        if self.basis is not None:
            scaled = scaled @ self.basis.T
        return replace(samples, features=scaled)

    def undo(self, classifier: LinearClassifier) -> LinearClassifier:
        """``classifier`` of scaled features, as one of the features themselves."""
        weight = classifier.weight * self.factor
        if self.basis is not None:
            weight = weight @ self.basis
        return LinearClassifier(weight, classifier.bias - weight @ self.mean)


@dataclass(frozen=True)
class Samples:
    """``features`` [N, D], their ``labels`` int64 [N], of which some may be `BACKGROUND`, and their
    ``folds`` int64 [N], in 0..`FOLDS` - 1: what belongs together is in one."""

    features: Values
    labels: Labels
    folds: NDArray[np.int64]
    classes: int

    def where(self, mask: NDArray[np.bool_]) -> "Samples":
        return Samples(self.features[mask], self.labels[mask], self.folds[mask], self.classes)

    def and_also(self, other: "Samples") -> "Samples":
        return Samples(
            np.concatenate((self.features, other.features)),
            np.concatenate((self.labels, other.labels)),
            np.concatenate((self.folds, other.folds)),
            self.classes,
        )


@dataclass(frozen=True)
class Fit:
    """A classifier, the C that it was fitted with, and the log loss of each C on what had been
    left out."""

    classifier: LinearClassifier
    chosen: float
    losses: Mapping[float, float] = field(default_factory=dict)


def fit(kind: Kind, samples: Samples, on_step: Callable[[], None] = lambda: None) -> Fit:
    """The classifier whose C is best in cross-validation, SVMs' scores calibrated.

    on_step: called `steps` times. Raises TrainingError where there is nothing to tell apart.
    """
    if len(np.unique(samples.labels)) < 2:
        raise TrainingError("all is of one class: there is nothing to tell apart")
    scaling = Scaling.of(samples.features)
    scaled = scaling.apply(samples)
    compared = scaled.where(_spread(len(samples.labels), MOST_COMPARED))
    losses = {}
    for c in GRID:
        logits = _left_out(kind, c, compared, on_step)
        if kind == "svm":
            slopes, offsets = calibrate(logits, compared.labels)
            logits = logits * slopes + offsets
        losses[c] = log_loss(kind, logits, compared.labels)
    best = min(GRID, key=lambda c: losses[c])
    classifier = solve(kind, best, scaled)
    if kind == "svm":
        # of many samples, those of one fold suffice
        folds = FOLDS if len(samples.labels) <= MOST_COMPARED else 1
        logits = _left_out(kind, best, scaled, folds=folds)
        known = scaled.folds < folds
        classifier = classifier.scaled(*calibrate(logits[known], samples.labels[known]))
    return Fit(scaling.undo(classifier), best, losses)


def steps(kind: Kind) -> int:
    """How often `fit` says that it has come further."""
    return FOLDS * len(GRID)


def solve(kind: Kind, c: float, samples: Samples) -> LinearClassifier:
    """One fit, of features as they are, with scores as the solver gives them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last step's is as good
        return _softmax(c, samples) if kind == "softmax" else _one_against_rest(kind, c, samples)


def probabilities(kind: Kind, logits: Values) -> Values:
    """[N, C] in 0..1; of a softmax regression those of a row add up to 1."""
    if kind == "softmax":
        return np.exp(_log_softmax(logits))
    return np.exp(-np.logaddexp(0, -logits))


def log_loss(kind: Kind, logits: Values, labels: Labels) -> float:
    """Mean over samples of -log of the right class's probability; one against rest, mean over
    samples and classes of that of the right one of two answers."""
    if kind == "softmax":
        known = labels != BACKGROUND
        rows = _log_softmax(logits[known])
        return float(-rows[np.arange(len(rows)), labels[known]].mean())
    right = labels[:, None] == np.arange(logits.shape[1])
    return float(np.logaddexp(0, np.where(right, -logits, logits)).mean())


def calibrate(scores: Values, labels: Labels) -> tuple[Values, Values]:
    """Slope and offset for each class, [C], that make the logit of a probability of its score.

    scores [N, C], of samples that were left out of the fit; `NEVER` where nothing of the class was
    in it. As Platt has it, the targets are not 0
    and 1 but what a uniform prior leaves of them: the scores of few samples are easily separable.
    """
    slopes, offsets = np.ones(scores.shape[1]), np.zeros(scores.shape[1])
    for label in range(scores.shape[1]):
        known = scores[:, label] != NEVER
        column, positive = scores[known, label], labels[known] == label
        count, others = int(positive.sum()), int((~positive).sum())
        if not count or not others:
            continue
        target = np.where(positive, (count + 1) / (count + 2), 1 / (others + 2))
        twice = np.concatenate((column, column))[:, None]
        answers = np.repeat([True, False], len(column))
        weights = np.concatenate((target, 1 - target))
        newton = LogisticRegression(C=np.inf, solver="newton-cholesky")
        fitted = newton.fit(twice, answers, weights)
        slopes[label] = max(float(fitted.coef_[0, 0]), LEAST_SLOPE)
        offsets[label] = float(fitted.intercept_[0])
    return slopes, offsets


def _left_out(
    kind: Kind,
    c: float,
    samples: Samples,
    on_step: Callable[[], None] = lambda: None,
    folds: int = FOLDS,
) -> NDArray[np.float64]:
    """Logits [N, C] of each sample of the first ``folds`` by the classifier of the others."""
    logits = np.full((len(samples.labels), samples.classes), NEVER)
    for fold in range(folds):
        left_out = samples.folds == fold
        if left_out.any() and not left_out.all():
            trained = solve(kind, c, samples.where(~left_out))
            logits[left_out] = trained.logits(samples.features[left_out])
        on_step()
    return logits


def _softmax(c: float, samples: Samples) -> LinearClassifier:
    known = samples.labels != BACKGROUND
    features, labels = samples.features[known], samples.labels[known]
    present = np.unique(labels)
    classifier = _without_samples(samples)
    classifier.bias[present] = 0
    if len(present) < 2:
        return classifier
    fitted = LogisticRegression(C=c, max_iter=MOST_STEPS).fit(features, labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn's is of the second class's logit, less the first's
        weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
    classifier.weight[present], classifier.bias[present] = weight, bias
    return classifier


def _one_against_rest(kind: Kind, c: float, samples: Samples) -> LinearClassifier:
    classifier = _without_samples(samples)
    for label in range(samples.classes):
        positive = samples.labels == label
        if not positive.any():
            continue
        classifier.bias[label] = 0
        if positive.all():
            continue
        one: Any = (
            LogisticRegression(C=c, max_iter=MOST_STEPS)
            if kind == "logistic"
            # its penalty is on the bias too, and less so the more that is scaled
            else LinearSVC(C=c, dual=False, intercept_scaling=10.0, max_iter=MOST_STEPS)
        )
        one.fit(samples.features, positive)
        classifier.weight[label], classifier.bias[label] = one.coef_[0], one.intercept_[0]
    return classifier


def _without_samples(samples: Samples) -> LinearClassifier:
    """What says of every class that it never is."""
    shape = samples.classes, samples.features.shape[1]
    return LinearClassifier(np.zeros(shape), np.full(samples.classes, NEVER))


def _log_softmax(logits: Values) -> Values:
    shifted = logits - logits.max(axis=1, keepdims=True)
    rows: Values = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return rows


def _spread(number: int, most: int) -> NDArray[np.bool_]:
    """``most`` of so many, evenly among them."""
    mask = np.zeros(number, dtype=bool)
    mask[np.linspace(0, number - 1, min(number, most)).round().astype(np.int64)] = True
    return mask
