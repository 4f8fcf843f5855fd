"""Faster R-CNN with a feature pyramid: proposals first, then a closer look at each.

    images ─ backbone ─► C2 … C5 ─ FPN ─► P2 … P6 ─ RPN ─► proposals
                                          P2 … P5 ─ cut out each, 7 x 7 ─ two layers ─┬─► logits
                                                                                      └─► deltas

Ren et al., arXiv 1506.01497; with FPN, arXiv 1612.03144, section 4.2. The second stage is that of
Fast R-CNN (arXiv 1504.08083), which cut regions out by RoI pooling in place of RoIAlign.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from models.anchors import FPN_ANCHORS, AnchorSettings
from models.box_coder import BoxCoder
from models.fpn import FPN
from models.operators import pool_regions
from models.resnet import SETTINGS as RESNETS
from models.resnet import ResNetBackbone
from models.roi import LEVELS, OUTPUT_SIZE, Pooling, assign_levels
from models.rpn import RegionProposalNetwork


@dataclass(frozen=True)
class FasterRCNNSettings:
    """A Faster R-CNN's backbone and sizes.

    pooling: how regions are cut out, see `models.roi`.
    norm_eps: of the backbone's batch norms.
    """

    backbone: str
    pooling: Pooling = "align"
    channels: int = 256
    hidden: int = 1024
    anchors: AnchorSettings = FPN_ANCHORS
    norm_eps: float = 1e-5


SETTINGS = {
    # torchvision's COCO weights were trained with batch norms that add nothing to the variance.
    "fasterrcnn_resnet50_fpn": FasterRCNNSettings("resnet50", norm_eps=0.0),
    "fasterrcnn_resnet50_fpn_from_imagenet": FasterRCNNSettings("resnet50"),
    "fasterrcnn_resnet50_fpn_roi_pool": FasterRCNNSettings("resnet50", pooling="pool"),
}


class RegionHead(nn.Module):
    """Two fully connected layers, and from them class logits and a box for each class.

    Regions [M, channels, 7, 7] -> logits [M, 1 + C], the background first, deltas [M, 1 + C, 4].
    """

    def __init__(self, channels: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(channels * OUTPUT_SIZE**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.logits = nn.Linear(hidden, 1 + num_classes)
        self.deltas = nn.Linear(hidden, (1 + num_classes) * 4)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.fc7(F.relu(self.fc6(regions.flatten(1)))))
        return self.logits(x), self.deltas(x).unflatten(1, (-1, 4))


class FasterRCNN(nn.Module):
    """The network of one row of `SETTINGS`. ``num_classes`` is without the background.

    Normalised images [N, 3, H, W] -> logits [N, R, 1 + C], deltas [N, R, 1 + C, 4], proposals
    [N, R, 4] in pixels, and their scores [N, R], 0 for padding.
    """

    class_layer = "region_head.logits"
    background_classes = 1

    def __init__(
        self,
        settings: FasterRCNNSettings,
        num_classes: int,
        anchors: AnchorSettings | None = None,
    ) -> None:
        """anchors: in place of the settings' own."""
        super().__init__()
        self.pooling = settings.pooling
        self.backbone = ResNetBackbone(RESNETS[settings.backbone], LEVELS, settings.norm_eps)
        self.pyramid = FPN(self.backbone.feature_channels, settings.channels, "subsampled P5")
        self.rpn = RegionProposalNetwork(settings.channels, anchors or settings.anchors)
        self.region_head = RegionHead(settings.channels, settings.hidden, num_classes)
        self.box_coder = BoxCoder(weights=(10.0, 5.0))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pyramid = self.pyramid(self.backbone(images))
        proposals, scores = self.rpn(pyramid, images.shape[-2], images.shape[-1])
        strides = [2**level for level in LEVELS]
        regions = pool_regions(
            pyramid[: len(LEVELS)], proposals, assign_levels(proposals), strides, self.pooling
        )
        logits, deltas = self.region_head(regions)
        shape = proposals.shape[:2]
        return logits.unflatten(0, shape), deltas.unflatten(0, shape), proposals, scores
