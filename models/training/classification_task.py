"""Training a classifier on a folder for each class: its loss, and its accuracy."""

import random
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from models.datasets.content import ClassFolders
from models.evaluation import evaluate_classifications
from models.training.dataset import ClassificationDataset, normalise, stack
from models.training.devices import Process
from models.training.recipe import Recipe
from service.imaging.files import read_photo
from service.imaging.input_spec import CentreCrop

OnProgress = Callable[[int], None]

BATCH_SIZE = 32  # of an evaluation


class ClassificationTask:
    """A classifier's photos, loss and evaluation."""

    metric = "top1"  # by which the best weights are chosen
    losses_named = ("class_loss",)
    collate = staticmethod(default_collate)  # images [N, 3, H, W], labels int64 [N]

    def __init__(
        self,
        spec: CentreCrop,
        recipe: Recipe,
        process: Process,
        training: ClassFolders,
        validation: ClassFolders,
    ) -> None:
        self.spec, self.recipe, self.process = spec, recipe, process
        self.validation, self.categories = validation, training.categories
        self.photos = ClassificationDataset(training.photos, spec, recipe.seed)

    def losses(
        self, network: nn.Module, batch: tuple[Tensor, Tensor], rng: random.Random
    ) -> tuple[Tensor, ...]:
        """Cross-entropy of ``batch``."""
        images, labels = (x.to(self.process.device) for x in batch)
        logits = network(normalise(images, self.spec))
        smoothing = self.recipe.label_smoothing
        return (F.cross_entropy(logits.float(), labels, label_smoothing=smoothing),)

    def evaluate(self, network: nn.Module, on_progress: OnProgress) -> dict[str, float]:
        """Top-1 and top-5 accuracy of ``network`` on the validation photos."""
        names = [name for _, name in self.categories]
        truth = [photo.label for photo in self.validation.photos]
        measured = evaluate_classifications(self.predict(network, on_progress), truth, names)
        return {"top1": measured.top1, "top5": measured.top5}

    def predict(self, network: nn.Module, on_progress: OnProgress) -> NDArray[np.floating]:
        """Probabilities [photos, classes] of the validation photos."""
        rows, photos = [], self.validation.photos
        with torch.no_grad():
            for start in range(0, len(photos), BATCH_SIZE):
                batch = photos[start : start + BATCH_SIZE]
                images = stack([read_photo(photo.path, self.spec) for photo in batch])
                logits = network(normalise(images.to(self.process.device), self.spec))
                rows.append(logits.softmax(dim=1).cpu())
                on_progress(len(images))
        return torch.cat(rows).numpy()
