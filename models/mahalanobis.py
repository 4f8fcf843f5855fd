"""How far features are from those of the training photos, by Gaussians of these.

Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks", arXiv 1807.03888: a Gaussian for each class, of one covariance (equation 1); a photo's
distance is that to the nearest class (equation 2). Layers are joined by a logistic regression
(section 2.2), whose weights cannot be negative here: no layer calls novel what is near in it. Where
photos have no classes, all are of one.

images ─ stage 0 ─► stage 1 ─► … ─► the last stage
             │          │                  │
           means      means              means of each channel's map
             ▼          ▼                  ▼
         distance   distance  …        distance      each in its own Gaussian
             └──────────┴──────────────────┴────────► their weighted geometric mean
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.staged import StagedBackbone

Values = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

LEAST = 1e-6  # of a distance, whose logarithm is taken
STEPS = 100  # of the fit of weights, which is convex but for their signs
PENALTY = 1e-2  # of their squares


class StageFeatures(nn.Module):
    """Normalised images [N, 3, H, W] -> of each stage of a backbone the channels' means over the
    map, [N, D_l]."""

    def __init__(self, backbone: StagedBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        x = images
        for layer in self.backbone.stem_layers():
            x = layer(x)
        pooled = []
        for stage in self.backbone.body():
            x = stage(x)
            pooled.append(x.mean(dim=(2, 3)))
        return pooled


class GaussianDistance(nn.Module):
    """Features [N, D] -> distances [N] to the nearest of K means, over the square root of D: about
    1 for what the Gaussians were fitted to.

    centre: [D]. whitening: [D, D], by which the covariance becomes the unit matrix. means: [K, D]
    of the classes, whitened.
    """

    def __init__(self, centre: Values, whitening: Values, means: Values) -> None:
        super().__init__()
        self.centre = nn.Buffer(torch.from_numpy(centre).float())
        self.whitening = nn.Buffer(torch.from_numpy(whitening).float())
        self.means = nn.Buffer(torch.from_numpy(means).float())

    def forward(self, features: Tensor) -> Tensor:
        whitened = (features - self.centre) @ self.whitening
        squares = (whitened.unsqueeze(1) - self.means).square().mean(dim=2)  # [N, K]
        return squares.amin(dim=1).sqrt()


class MahalanobisDistance(nn.Module):
    """Normalised images [N, 3, H, W] -> the weighted geometric mean [N] of each stage's distance.

    weights: [L], not negative, of which the sum is 1.
    """

    def __init__(
        self, features: StageFeatures, stages: Sequence[GaussianDistance], weights: Values
    ) -> None:
        super().__init__()
        self.features, self.stages = features, nn.ModuleList(stages)
        self.weights = nn.Buffer(torch.from_numpy(weights).float())

    def forward(self, images: Tensor) -> Tensor:
        found = self.features(images)
        logs = [
            stage(values).clamp(min=LEAST).log()
            for stage, values in zip(self.stages, found, strict=True)
        ]
        return (torch.stack(logs, dim=1) @ self.weights).exp()


def fit_gaussian(features: Values, labels: Labels | None = None) -> GaussianDistance:
    """The distance of the Gaussians of ``features`` [N, D], of the classes ``labels`` [N].

    The covariance is shrunk towards a multiple of the unit matrix, by as much as its estimate from
    so few photos is uncertain (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
    covariance matrices", 2004). Raises ValueError for fewer than two photos.
    """
    from sklearn.covariance import ledoit_wolf

    if len(features) < 2:
        raise ValueError("a covariance takes two photos at least")
    features = features.astype(np.float64)
    labels = np.zeros(len(features), np.int64) if labels is None else labels
    known, places = np.unique(labels, return_inverse=True)
    means = np.stack([features[labels == label].mean(axis=0) for label in known])
    spread = features.std(axis=0) + 1e-12  # so that no channel's unit counts
    covariance, _ = ledoit_wolf((features - means[places]) / spread, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(np.maximum(values, 1e-12)) / spread[:, None]
    centre = means.mean(axis=0)
    return GaussianDistance(centre, whitening, (means - centre) @ whitening)


def fit_weights(usual: Values, unlike: Sequence[Values]) -> Values:
    """The weights [L] of stages by whose distances a logistic regression tells ``usual`` photos
    [N, L] from kinds of others, [M, L] each; of either as much, and of each kind."""
    groups = [np.log(np.maximum(v, LEAST)).astype(np.float64) for v in (usual, *unlike)]
    shares = [0.5, *[0.5 / len(unlike)] * len(unlike)]
    logs = torch.from_numpy(np.concatenate(groups))
    weights = torch.cat(
        [
            torch.full((len(group),), share / len(group), dtype=torch.float64)
            for group, share in zip(groups, shares, strict=True)
        ]
    )
    signs = torch.ones(len(logs), dtype=torch.float64)
    signs[: len(usual)] = -1
    roots = torch.full((logs.shape[1],), 0.5, dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([roots, offset], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        slopes = roots.square()  # which are never negative
        margins = signs * (logs @ slopes + offset)
        value = (weights * nn.functional.softplus(-margins)).sum()
        value = value + PENALTY / 2 * slopes.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    slopes = roots.detach().square()
    total = slopes.sum()
    even = torch.full_like(slopes, 1 / len(slopes))  # where nothing tells them apart
    return (slopes / total if total > LEAST else even).numpy()
