"""RetinaNet: a backbone, FPN, and two convolutional heads shared by all levels.

Lin et al., "Focal Loss for Dense Object Detection", arXiv 1708.02002, Figure 3.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.anchors import AnchorSettings, retinanet_anchors
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.efficientnet import SCALINGS, EfficientNetBackbone
from models.fpn import FPN
from models.heads import PRIOR_BIAS, join_levels


@dataclass(frozen=True)
class RetinaNetSettings:
    """A RetinaNet's backbone and sizes.

    channels: width of the pyramid and of the heads; the paper's 256.
    head_depth: convolutions before each head's prediction; the paper's 4.
    anchor_base: smallest anchor's side at P3, in pixels; the paper's 32, meant for images whose
        shorter side is 800.
    """

    backbone: str
    channels: int = 256
    head_depth: int = 4
    anchor_base: int = 32

    @property
    def anchors(self) -> AnchorSettings:
        return retinanet_anchors(self.anchor_base)


SETTINGS = {
    # At 320 pixels the paper's heads would cost ten times the backbone, so they are half as wide,
    # and the anchors start a quarter smaller because the objects are smaller too.
    "retinanet_lite0": RetinaNetSettings("efficientnet_lite0", channels=128, anchor_base=24),
}


class RetinaNetHead(nn.Module):
    """``depth`` 3x3 convolutions with ReLU, and a 3x3 prediction of ``values`` for each anchor.

    Pyramid levels [N, channels, H_l, W_l] -> raw outputs [N, A, values].
    """

    def __init__(
        self, channels: int, depth: int, anchors_per_cell: int, values: int, bias: float
    ) -> None:
        super().__init__()
        self.values = values
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
        self.convs = nn.Sequential(*layers)
        self.predict = nn.Conv2d(channels, anchors_per_cell * values, 3, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.normal_(conv.weight, std=0.01)
                nn.init.zeros_(conv.bias)
        nn.init.constant_(self.predict.bias, bias)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        return join_levels([self.predict(self.convs(x)) for x in pyramid], self.values)


class RetinaNet(OneStageDetector):
    """The network of one row of `SETTINGS`."""

    def __init__(self, settings: RetinaNetSettings, num_classes: int) -> None:
        anchors, channels = settings.anchors, settings.channels
        backbone = EfficientNetBackbone(SCALINGS[settings.backbone])
        pyramid = FPN(backbone.feature_channels, channels)
        class_head, box_head = (
            RetinaNetHead(channels, settings.head_depth, anchors.per_cell, values, bias)
            for values, bias in ((num_classes, PRIOR_BIAS), (4, 0.0))
        )
        super().__init__(backbone, pyramid, class_head, box_head, anchors, BoxCoder())
