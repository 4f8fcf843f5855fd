"""Distances against NumPy's inverse in float64, and the weights of stages."""

import numpy as np
import pytest
import torch

from models.mahalanobis import (
    MahalanobisDistance,
    StageFeatures,
    fit_gaussian,
    fit_weights,
)
from models.variants import find_variant

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(6, 6))


def sample(number: int, shift: float = 0.0) -> np.ndarray:
    return RNG.normal(size=(number, 6)) @ MIXING * 10 + shift


def naive(features: np.ndarray, means: list[np.ndarray], covariance: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(covariance)
    rows = [[(x - m) @ inverse @ (x - m) for m in means] for x in features]
    return np.sqrt(np.min(rows, axis=1) / features.shape[1])


def test_distance_of_many_photos_is_that_of_their_covariance() -> None:
    trained, asked = sample(20_000), sample(50, shift=8.0)
    expected = naive(asked, [trained.mean(0)], np.cov(trained.T, bias=True))
    found = fit_gaussian(trained)(torch.from_numpy(asked).float())
    assert found.tolist() == pytest.approx(expected.tolist(), rel=0.01)
    usual = fit_gaussian(trained)(torch.from_numpy(sample(2000)).float())
    assert usual.square().mean().item() == pytest.approx(1, abs=0.05)


def test_of_classes_the_nearest_counts() -> None:
    parts = [sample(5000), sample(5000, shift=300.0)]
    labels = np.repeat([4, 7], 5000)
    trained, asked = np.concatenate(parts), sample(20, shift=300.0)
    residuals = np.concatenate([part - part.mean(0) for part in parts])
    means = [part.mean(0) for part in parts]
    expected = naive(asked, means, np.cov(residuals.T, bias=True))
    found = fit_gaussian(trained, labels)(torch.from_numpy(asked).float())
    assert found.tolist() == pytest.approx(expected.tolist(), rel=0.02)


def test_few_photos_of_many_features_have_a_finite_distance() -> None:
    trained = RNG.normal(size=(20, 200))
    trained[:, 3] = 5.0  # a channel that never changes
    found = fit_gaussian(trained)(torch.from_numpy(RNG.normal(size=(3, 200))).float())
    assert torch.isfinite(found).all()
    with pytest.raises(ValueError, match="two photos"):
        fit_gaussian(trained[:1])


def test_weights_are_of_what_tells_photos_apart_and_never_negative() -> None:
    usual = RNG.uniform(0.8, 1.2, (300, 3))
    # the first column tells, the second does not, the third is smaller of what is novel
    unlike = [RNG.uniform((1.6, 0.8, 0.4), (2.4, 1.2, 0.6), (100, 3)) for _ in range(2)]
    weights = fit_weights(usual, unlike)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights[0] > 0.9
    same = fit_weights(usual, [usual])
    assert same.sum() == pytest.approx(1)


def test_the_joint_distance_is_the_weighted_geometric_mean_of_the_stages() -> None:
    torch.manual_seed(0)
    backbone = find_variant("efficientnet_lite0").build(1).backbone
    features = StageFeatures(backbone).eval()
    with torch.no_grad():
        images = torch.randn(8, 3, 64, 64)
        found = features(images)
        assert [x.shape[1] for x in found] == [16, 24, 40, 80, 112, 192, 320]
        stages = [fit_gaussian(x.numpy()) for x in found]
        weights = np.array([0.5, 0.3, 0.2, 0, 0, 0, 0])
        joint = MahalanobisDistance(features, stages, weights)(images)
        expected = 1.0
        for stage, values, weight in zip(stages, found, weights, strict=True):
            expected = expected * stage(values) ** weight
    assert joint.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
