"""Backbones whose stages run one after the other, so that training can leave the first alone.

images ─ stem ─► stage 0 ─► stage 1 ─► … ─► the last stage
                               │                  │
                               ▼                  ▼
                            features of `feature_stages`
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class StagedBackbone(nn.Module, ABC):
    """Normalised images [N, 3, H, W] -> the outputs of ``feature_stages``, finest first."""

    feature_stages: tuple[int, ...]

    @abstractmethod
    def stem_layers(self) -> Sequence[nn.Module]:
        """The layers of the stem, in their order; the first stage reads what they give."""

    @abstractmethod
    def body(self) -> Sequence[nn.Module]:
        """The stages after the stem, in their order."""

    def first(self, count: int) -> list[nn.Module]:
        """What is frozen with the first ``count`` stages: these and the stem; nothing for 0.

        Raises ValueError if there are fewer.
        """
        stages = len(self.body())
        if count > stages:
            raise ValueError(f"this backbone has {stages} stages, not {count}")
        return [*self.stem_layers(), *self.body()[:count]] if count else []

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.resume(self.run_first(images, 0), 0)

    def run_first(self, images: Tensor, count: int) -> list[Tensor]:
        """Run the stem and the first ``count`` stages.

        Returns the features among their outputs, and last the output from which `resume` goes on:
        all that training with these stages frozen needs to keep.
        """
        x = images
        for layer in self.stem_layers():
            x = layer(x)
        features = []
        for index, stage in enumerate(self.body()[:count]):
            x = stage(x)
            if index in self.feature_stages:
                features.append(x)
        return features if count - 1 in self.feature_stages else [*features, x]

    def resume(self, kept: list[Tensor], count: int) -> list[Tensor]:
        """The features, from what `run_first` kept of the first ``count`` stages."""
        x = kept[-1]
        features = kept if count - 1 in self.feature_stages else kept[:-1]
        for index, stage in enumerate(self.body()[count:], start=count):
            x = stage(x)
            if index in self.feature_stages:
                features = [*features, x]
        return features
