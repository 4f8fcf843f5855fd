"""The ways to measure a distance, each fitted to training photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export.errors import ExportError
from models.checkpoints import load_checkpoint
from models.mahalanobis import (
    GaussianDistance,
    Labels,
    MahalanobisDistance,
    StageFeatures,
    Values,
    fit_gaussian,
    fit_weights,
)
from models.staged import StagedBackbone
from models.training.dataset import normalise
from models.vae import SETTINGS, VIEW, AutoEncoder, Views, reconstruction_error
from models.variants import find_variant
from models.weights import load_into, load_start
from service.imaging.input_spec import Stretch
from service.manifest import Measure

BATCH_SIZE = 32
DEFAULT_FEATURES = "efficientnet_lite0"


@dataclass(frozen=True)
class Candidate:
    """A network of normalised views [N, 3, H, W] to distances [N, M], of ``measures``.

    weights: its checkpoint.
    """

    architecture: str
    weights: Path
    view: Stretch
    network: nn.Module
    measures: tuple[Measure, ...]

    def distances(self, views: Views) -> Values:
        """[N, M] of ``views`` uint8 [N, H, W, 3]."""
        return _run(self.network, views, self.view)


class Column(nn.Module):
    """Distances [N] as a table [N, 1]."""

    def __init__(self, distance: nn.Module) -> None:
        super().__init__()
        self.distance = distance

    def forward(self, images: Tensor) -> Tensor:
        column: Tensor = self.distance(images).unsqueeze(1)
        return column


class AutoEncoderDistances(nn.Module):
    """Normalised views -> [N, 2]: the reconstruction error, and the distance of the latent mean."""

    def __init__(self, network: AutoEncoder, latent: GaussianDistance) -> None:
        super().__init__()
        self.network, self.latent = network, latent

    def forward(self, images: Tensor) -> Tensor:
        mean, _ = self.network.encode(images)
        error = reconstruction_error(images, self.network.decode(mean))
        return torch.stack([error, self.latent(mean)], dim=1)


def mahalanobis(
    architecture: str,
    weights: Path,
    fitted: Views,
    labels: Labels | None,
    usual: Views,
    unlike: Sequence[Views],
) -> Candidate:
    """Gaussians of a classifier's features of ``fitted`` views, of the classes ``labels``, and
    weights that tell ``usual`` ones from kinds of ``unlike``. Raises ExportError or
    CheckpointError."""
    try:
        variant = find_variant(architecture)
        network = variant.build(1)
    except KeyError:
        raise ExportError(f"there is no {architecture}; `python -m models` lists all") from None
    backbone = getattr(network, "backbone", None)
    if variant.task != "classification" or not isinstance(backbone, StagedBackbone):
        raise ExportError(
            f"--features {architecture}: has no stages of a classifier; take {DEFAULT_FEATURES}, or"
            " a ResNet"
        )
    load_start(network, load_checkpoint(weights).state, str(weights))
    mean, std = variant.input.mean, variant.input.std
    view = VIEW.model_copy(update={"mean": mean, "std": std})
    features = StageFeatures(backbone).eval().requires_grad_(False)
    stages = [fit_gaussian(values, labels) for values in _features(features, fitted, view)]

    def by_stage(views: Views) -> Values:
        found = _features(features, views, view)
        columns = [
            stage(torch.from_numpy(values)).numpy()
            for stage, values in zip(stages, found, strict=True)
        ]
        return np.stack(columns, axis=1)

    joint = fit_weights(by_stage(usual), [by_stage(views) for views in unlike])
    distance = Column(MahalanobisDistance(features, stages, joint)).eval()
    return Candidate(architecture, weights, view, distance, ("mahalanobis",))


def auto_encoder(weights: Path, fitted: Views) -> Candidate:
    """What `python -m models.training autoencoder` has left at ``weights``, and a Gaussian of its
    latents of ``fitted`` views. Raises ExportError or CheckpointError."""
    checkpoint = load_checkpoint(weights)
    if checkpoint.architecture not in SETTINGS:
        raise ExportError(
            f"{weights} is of {checkpoint.architecture or 'another tool'}, no auto-encoder of"
            " `python -m models.training autoencoder`"
        )
    network = AutoEncoder(SETTINGS[checkpoint.architecture])
    load_into(network, checkpoint.state, str(weights))
    network.eval().requires_grad_(False)
    latents = _run(_Latents(network), fitted, VIEW)
    distances = AutoEncoderDistances(network, fit_gaussian(latents)).eval()
    measures: tuple[Measure, ...] = ("reconstruction_error", "latent_distance")
    return Candidate(checkpoint.architecture, weights, VIEW, distances, measures)


class _Latents(nn.Module):
    def __init__(self, network: AutoEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        mean: Tensor = self.network.encode(images)[0]
        return mean


@torch.inference_mode()
def _features(features: StageFeatures, views: Views, view: Stretch) -> list[Values]:
    """Of each stage [N, D_l]."""
    parts = [[values.numpy() for values in features(images)] for images in _batches(views, view)]
    return [np.concatenate(stage) for stage in zip(*parts, strict=True)]


@torch.inference_mode()
def _run(network: nn.Module, views: Views, view: Stretch) -> Values:
    return np.concatenate([network(images).numpy() for images in _batches(views, view)])


def _batches(views: Views, view: Stretch) -> list[Tensor]:
    images = torch.from_numpy(views).permute(0, 3, 1, 2)
    return [normalise(batch, view) for batch in images.split(BATCH_SIZE)]
