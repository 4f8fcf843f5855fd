"""Auto-encoders of small views: plain, and variational (VAE).

Kingma and Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114.

images [N, 3, 64, 64] ─ encoder ─► mean, log variance of z [N, Z] ─ z ─► decoder ─► [N, 3, 64, 64]

What it was not trained on it reconstructs worse, and encodes to where it has encoded nothing else.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from service.imaging.files import read_photo
from service.imaging.input_spec import InputSpec, Stretch
from service.imaging.views import view_of

Views = NDArray[np.uint8]  # [N, H, W, 3]

SIDE = 64  # pixels of a view
HALF = (0.5, 0.5, 0.5)
VIEW = Stretch(height=SIDE, width=SIDE, interpolation="bilinear", mean=HALF, std=HALF)
SIGMA = 0.2  # of the Gaussian around a reconstruction, where pixels are -1 to 1
SLOPE = 0.2  # of the leaky ReLUs


@dataclass(frozen=True)
class Settings:
    """widths: channels after each halving of the view. latent: numbers that a view becomes.
    variational: whether z is drawn from a Gaussian in training, or is its mean."""

    variational: bool
    latent: int = 64
    widths: Sequence[int] = (32, 64, 128, 256)


SETTINGS = {"vae": Settings(variational=True), "autoencoder": Settings(variational=False)}


@dataclass(frozen=True)
class Encoded:
    """reconstruction: of the views, [N, 3, 64, 64]. mean, log_variance: of z, [N, Z] each; a plain
    auto-encoder's z has no variance."""

    reconstruction: Tensor
    mean: Tensor
    log_variance: Tensor | None


class AutoEncoder(nn.Module):
    """Normalised views [N, 3, 64, 64] -> `Encoded`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        widths = (3, *settings.widths)
        self.cells = SIDE >> len(settings.widths)  # of a side of the last feature map
        size = widths[-1] * self.cells**2
        self.encoder = nn.Sequential(*(_halve(a, b) for a, b in pairwise(widths)), nn.Flatten())
        self.to_latent = nn.Linear(size, settings.latent * (2 if settings.variational else 1))
        self.from_latent = nn.Linear(settings.latent, size)
        back = widths[:0:-1]
        self.decoder = nn.Sequential(
            *(_double(a, b) for a, b in pairwise(back)),
            nn.ConvTranspose2d(back[-1], 3, 4, 2, 1),
        )

    def forward(self, images: Tensor) -> Encoded:
        mean, log_variance = self.encode(images)
        z = mean
        if self.training and log_variance is not None:
            z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return Encoded(self.decode(z), mean, log_variance)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log variance of z, [N, Z] each."""
        z = self.to_latent(self.encoder(images))
        if not self.settings.variational:
            return z, None
        mean, log_variance = z.chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """The views [N, 3, 64, 64] of ``z``."""
        features = self.from_latent(z).unflatten(1, (-1, self.cells, self.cells))
        return self.decoder(features)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each row [N, Z], summed over z: [N], in nats.

    In closed form (arXiv 1312.6114, appendix B).
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)


def log_likelihood(images: Tensor, reconstruction: Tensor, sigma: float = SIGMA) -> Tensor:
    """log N(images; reconstruction, sigma²) of each row [N, …], summed over its values: [N]."""
    errors = ((images - reconstruction) / sigma).flatten(1)
    constant = math.log(2 * math.pi * sigma**2)
    return -0.5 * (errors**2 + constant).sum(dim=1)


def elbo(images: Tensor, encoded: Encoded, sigma: float = SIGMA) -> Tensor:
    """The evidence lower bound of each view [N], in nats (arXiv 1312.6114, equation 3), with one
    draw of z; of a plain auto-encoder its log likelihood."""
    likelihood = log_likelihood(images, encoded.reconstruction, sigma)
    if encoded.log_variance is None:
        return likelihood
    return likelihood - kl_divergence(encoded.mean, encoded.log_variance)


def reconstruction_error(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean square of each view's differences, [N]."""
    return F.mse_loss(reconstruction, images, reduction="none").flatten(1).mean(dim=1)


def _halve(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(SLOPE),
    )


def _double(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(SLOPE),
    )


def read_views(
    paths: Sequence[Path], spec: InputSpec, on_progress: Callable[[int], None], view: Stretch = VIEW
) -> Views:
    """The views [N, H, W, 3] of photos, as a companion reads them whose input is ``view``, beside a
    model that reads ``spec``: 12 kB each. Raises PhotoError."""
    views = np.empty((len(paths), view.height, view.width, 3), np.uint8)
    for place, path in zip(views, paths, strict=True):
        place[:] = view_of(read_photo(path, spec), view)
        on_progress(1)
    return views
