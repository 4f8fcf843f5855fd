"""Training an auto-encoder: its losses, and the evidence lower bound of views held out."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from models.datasets.content import Categories
from models.training.dataset import EpochDataset, normalise
from models.training.devices import Process
from models.training.recipe import Recipe
from models.vae import (
    VIEW,
    Settings,
    Views,
    elbo,
    kl_divergence,
    log_likelihood,
    reconstruction_error,
)

BATCH_SIZE = 64  # of an evaluation


class ViewDataset(EpochDataset[Tensor]):
    """Views uint8 [N, H, W, 3], mirrored at random: uint8 [3, H, W] each."""

    def __init__(self, views: Views, seed: int = 0) -> None:
        super().__init__(seed)
        self.views = torch.from_numpy(views).permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Tensor:
        view = self.views[index % len(self)]
        return view.flip(2) if self.rng(index).random() < 0.5 else view


@dataclass(frozen=True)
class HeldOut:
    """Views that are measured on; ``photos`` as the loop calls them."""

    photos: Views


class ReconstructionTask:
    """An auto-encoder's views, losses and evaluation."""

    metric = "elbo"  # by which the best weights are chosen
    collate = staticmethod(default_collate)  # views uint8 [N, 3, H, W]
    categories: Categories = ()

    def __init__(
        self, settings: Settings, recipe: Recipe, process: Process, training: Views, held_out: Views
    ) -> None:
        self.process, self.validation = process, HeldOut(held_out)
        self.photos = ViewDataset(training, recipe.seed)
        self.losses_named = ("reconstruction_loss", *(("kl_loss",) if settings.variational else ()))

    def losses(self, network: nn.Module, batch: Tensor, rng: random.Random) -> tuple[Tensor, ...]:
        """The two parts of the negative lower bound, for each value of a view."""
        images = normalise(batch.to(self.process.device), VIEW)
        encoded = network(images)
        values = images[0].numel()
        reconstruction = -log_likelihood(images, encoded.reconstruction.float()).mean() / values
        if encoded.log_variance is None:
            return (reconstruction,)
        divergence = kl_divergence(encoded.mean.float(), encoded.log_variance.float())
        return reconstruction, divergence.mean() / values

    def evaluate(self, network: nn.Module, on_progress: Callable[[int], None]) -> dict[str, float]:
        """Means over the held out views: the lower bound in nats a value, with z at its mean, and
        the reconstruction error."""
        bounds, errors = [], []
        with torch.no_grad():
            for start in range(0, len(self.validation.photos), BATCH_SIZE):
                views = torch.from_numpy(self.validation.photos[start : start + BATCH_SIZE])
                images = normalise(views.permute(0, 3, 1, 2).to(self.process.device), VIEW)
                encoded = network(images)
                bounds.append(elbo(images, encoded) / images[0].numel())
                errors.append(reconstruction_error(images, encoded.reconstruction))
                on_progress(len(views))
        return {
            "elbo": torch.cat(bounds).mean().item(),
            "reconstruction_error": torch.cat(errors).mean().item(),
        }
