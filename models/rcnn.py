"""R-CNN: each region is cut out of the photo, warped to one size, and classified by itself.

    images ─┬─ warp each, with its surroundings ─ a classifier's features ─┬─ linear SVMs ─► logits
    regions ┘                                                              └─ regression ──► deltas

Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object detection and
semantic segmentation", arXiv 1311.2524. The regions come from outside: selective search, as in the
paper, or whatever else finds where something may be. `models.training.head` fits both layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.nn import functional as F

from models.box_coder import BoxCoder
from models.operators import crop_regions

# Of a region's side, that a crop shows of its surroundings on each side: 16 pixels of 227
# (appendix A).
CONTEXT = 16 / (227 - 2 * 16)
AT_ONCE = 16  # regions of an image whose features are computed together; bounds the memory


@dataclass(frozen=True)
class RCNNSettings:
    """An R-CNN's classifier, by its name in `models.variants`, and the side of its crops."""

    classifier: str
    crop: int


SETTINGS = {
    # a third of the time a region that the classifier's own 224 takes
    "rcnn_lite0": RCNNSettings("efficientnet_lite0", crop=128),
    "rcnn_resnet50": RCNNSettings("resnet50", crop=224),
}


class RCNN(nn.Module):
    """Normalised images [N, 3, H, W] and regions [N, R, 4] in their pixels -> class logits
    [N, R, C], and deltas [N, R, C, 4], a box for each class."""

    class_layer = "class_logits"

    def __init__(self, settings: RCNNSettings, classifier: nn.Module, num_classes: int) -> None:
        """classifier: whose features are taken; its class layer goes."""
        super().__init__()
        channels = classifier.get_submodule(classifier.class_layer).in_features
        classifier.set_submodule(classifier.class_layer, nn.Identity())
        self.crop = settings.crop
        self.classifier = classifier
        self.class_logits = nn.Linear(channels, num_classes)
        self.deltas = nn.Linear(channels, num_classes * 4)
        self.box_coder = BoxCoder()

    def forward(self, images: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        features = self.region_features(images, regions)
        return self.class_logits(features), self.deltas(features).unflatten(-1, (-1, 4))

    def region_features(self, images: Tensor, regions: Tensor) -> Tensor:
        """[N, R, D]."""
        if not torch.compiler.is_exporting():
            parts = [self._features(images, part) for part in regions.split(AT_ONCE, dim=1)]
            return torch.cat(parts, dim=1)

        def step(carried: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
            return carried.clone(), self._features(images, part)

        count = regions.shape[1]
        parts = (count + AT_ONCE - 1) // AT_ONCE
        padded = F.pad(regions, (0, 0, 0, parts * AT_ONCE - count))
        stacked = padded.reshape(regions.shape[0], parts, AT_ONCE, 4).transpose(0, 1)
        _, features = scan(step, regions.new_zeros(1), stacked)  # [parts, N, AT_ONCE, D]
        return features.transpose(0, 1).flatten(1, 2)[:, :count]

    def _features(self, images: Tensor, regions: Tensor) -> Tensor:
        crops = warp(images, regions, self.crop)
        features: Tensor = self.classifier(crops)
        return features.reshape(regions.shape[0], regions.shape[1], -1)


def warp(images: Tensor, regions: Tensor, side: int) -> Tensor:
    """Each of ``regions`` [N, R, 4] of ``images`` [N, 3, H, W] with its surroundings, stretched:
    [N * R, 3, side, side]. What lies beyond the image is 0, the mean colour."""
    around = CONTEXT * (regions[..., 2:] - regions[..., :2])
    boxes = torch.cat((regions[..., :2] - around, regions[..., 2:] + around), dim=-1)
    crops: Tensor = crop_regions(images, boxes, side)
    return crops
