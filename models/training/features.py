"""Frozen features, computed once.

Training that leaves the first stages of a backbone as they are need not run them again at each
step: their output for a few augmented views of each photo is computed once and kept in memory as
float16: at 320 pixels and three frozen stages of an EfficientNet-Lite0 125 kB a view, at 512 and
one of a ResNet-18 2 MB.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from models.training.dataset import DetectionDataset, EpochDataset, collate

FeatureSample = tuple[list[Tensor], Tensor, Tensor]


class FeatureCache(EpochDataset[FeatureSample]):
    """Feature maps [C, H, W] with their view's boxes and targets; an epoch is one view a photo."""

    def __init__(self, views: int, photos: int, seed: int = 0) -> None:
        super().__init__(seed)
        self.views, self.photos = views, photos
        self.features: list[Tensor] = []
        # Lists, not tensors: a tensor from a loader's process holds a file descriptor while it
        # lives, and a copy of it would lie between the large feature maps and fragment the heap.
        self.targets: list[tuple[list[list[float]], list[list[float]]]] = []

    def add(self, features: list[Tensor], boxes: list[Tensor], targets: list[Tensor]) -> None:
        """Append a batch; the views of all photos in order, one view of all after the other."""
        rows = self.views * self.photos
        if not self.features:
            self.features = [
                torch.empty((rows, *feature.shape[1:]), dtype=torch.float16) for feature in features
            ]
        start = len(self.targets)
        for kept, feature in zip(self.features, features, strict=True):
            kept[start : start + len(feature)] = feature
        self.targets += [(b.tolist(), t.tolist()) for b, t in zip(boxes, targets, strict=True)]

    def fill(
        self,
        photos: DetectionDataset,
        compute: Callable[[Tensor], list[Tensor]],
        workers: int,
        on_progress: Callable[[int], None],
    ) -> None:
        """Keep what ``compute`` gives for each view of ``photos``, uint8 [N, 3, H, W]."""
        loader = DataLoader(photos, 32, collate_fn=collate, num_workers=workers)
        for view in range(self.views):
            photos.set_epoch(view)
            for images, boxes, targets in loader:
                self.add(compute(images), boxes, targets)
                on_progress(len(images))

    def __len__(self) -> int:
        return self.photos

    def __getitem__(self, index: int) -> FeatureSample:
        row = self.rng(index).randrange(self.views) * self.photos + index % self.photos
        boxes, targets = self.targets[row]
        return (
            [feature[row].float() for feature in self.features],
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(targets, dtype=torch.float32).reshape(-1, 2),
        )


def collate_features(
    samples: list[FeatureSample],
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Each feature map stacked [N, C, H, W]; boxes and targets stay lists, their lengths differ."""
    features, boxes, targets = zip(*samples, strict=True)
    return [torch.stack(maps) for maps in zip(*features, strict=True)], list(boxes), list(targets)
