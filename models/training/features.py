"""Frozen features, computed once.

Training that leaves the first stages of a backbone as they are need not run them again at each
step: their output for a few augmented views of each photo is computed once and kept in memory as
float16: at 320 pixels and three frozen stages of an EfficientNet-Lite0 125 kB a view, at 512 and
one of a ResNet-18 2 MB. Of a detector that is frozen as a whole it is the
pyramid's finest level, at 320 pixels 205 kB.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from models.training.dataset import EpochDataset

FeatureSample = tuple[list[Tensor] | Tensor, ...]


class FeatureCache(EpochDataset[FeatureSample]):
    """Feature maps [C, H, W] with what their view has of its objects: boxes, targets, and outlines
    where these are learned; an epoch is one view a photo."""

    def __init__(self, views: int, photos: int, seed: int = 0) -> None:
        super().__init__(seed)
        self.views, self.photos = views, photos
        self.features: list[Tensor] = []
        # Copies: a tensor from a loader's process holds a file descriptor while it lives.
        self.of_objects: list[tuple[NDArray[np.float32], ...]] = []

    def add(self, features: list[Tensor], *of_objects: list[Tensor]) -> None:
        """Append a batch; the views of all photos in order, one view of all after the other."""
        rows = self.views * self.photos
        if not self.features:
            self.features = [
                torch.empty((rows, *feature.shape[1:]), dtype=torch.float16) for feature in features
            ]
        start = len(self.of_objects)
        for kept, feature in zip(self.features, features, strict=True):
            kept[start : start + len(feature)] = feature
        for rows in zip(*of_objects, strict=True):
            self.of_objects.append(tuple(row.numpy().copy() for row in rows))

    def fill(
        self,
        photos: EpochDataset[Any],
        collate: Callable[..., tuple[Any, ...]],
        compute: Callable[[Tensor], list[Tensor]],
        workers: int,
        on_progress: Callable[[int], None],
    ) -> None:
        """Keep what ``compute`` gives for each view of ``photos``, uint8 [N, 3, H, W]."""
        loader = DataLoader(photos, 32, collate_fn=collate, num_workers=workers)
        for view in range(self.views):
            photos.set_epoch(view)
            for images, *of_objects in loader:
                self.add(compute(images), *of_objects)
                on_progress(len(images))

    def __len__(self) -> int:
        return self.photos

    def __getitem__(self, index: int) -> FeatureSample:
        row = self.rng(index).randrange(self.views) * self.photos + index % self.photos
        features = [feature[row].float() for feature in self.features]
        return features, *map(torch.tensor, self.of_objects[row])


def collate_features(samples: list[FeatureSample]) -> tuple[list[Tensor], ...]:
    """Each feature map stacked [N, C, H, W]; what is of objects stays lists, of any length."""
    features, *of_objects = zip(*samples, strict=True)
    return [torch.stack(maps) for maps in zip(*features, strict=True)], *map(list, of_objects)
