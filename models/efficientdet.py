"""EfficientDet: an EfficientNet backbone, BiFPN, and shared class and box heads.

Tan, Pang and Le, "EfficientDet: Scalable and Efficient Object Detection", arXiv 1911.09070. The
Lite variants use EfficientNet-Lite, ReLU6 and unweighted fusion.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.anchors import AnchorSettings, efficientdet_anchors
from models.bifpn import BiFPN, batch_norm
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.efficientnet import SCALINGS, EfficientNetBackbone
from models.heads import PRIOR_BIAS, join_levels
from models.layers import Activation, SeparableConv2d


@dataclass(frozen=True)
class EfficientDetSettings:
    """One row of the paper's Table 1, and the conventions that its checkpoints were trained with.

    anchor_scale: an anchor's smallest side at each level, in strides.
    """

    backbone: str
    pyramid_channels: int
    pyramid_depth: int
    head_depth: int
    anchor_scale: float
    fusion: str
    activation: Activation

    @property
    def anchors(self) -> AnchorSettings:
        return efficientdet_anchors(self.anchor_scale)


SETTINGS = {
    "efficientdet_lite0": EfficientDetSettings(
        backbone="efficientnet_lite0",
        pyramid_channels=64,
        pyramid_depth=3,
        head_depth=3,
        anchor_scale=3.0,
        fusion="sum",
        activation=nn.ReLU6,
    ),
}


class EfficientDetHead(nn.Module):
    """Separable convolutions shared by all levels, with norms of each level's own.

    Pyramid levels [N, channels, H_l, W_l] -> raw outputs [N, A, values].
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        levels: int,
        anchors_per_cell: int,
        values: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.values = values
        self.convs = nn.ModuleList(SeparableConv2d(channels, channels) for _ in range(depth))
        self.norms = nn.ModuleList(  # [depth][level]
            nn.ModuleList(batch_norm(channels) for _ in range(levels)) for _ in range(depth)
        )
        self.activation = activation()
        self.predict = SeparableConv2d(channels, anchors_per_cell * values)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        return join_levels([self._level(x, i) for i, x in enumerate(pyramid)], self.values)

    def _level(self, x: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.convs, self.norms, strict=True):
            x = self.activation(norms[level](conv(x)))
        return self.predict(x)


class EfficientDet(OneStageDetector):
    """The network of one row of `SETTINGS`."""

    def __init__(self, settings: EfficientDetSettings, num_classes: int) -> None:
        anchors = settings.anchors
        channels, activation = settings.pyramid_channels, settings.activation
        levels, per_cell = len(anchors.strides), anchors.per_cell
        backbone = EfficientNetBackbone(SCALINGS[settings.backbone])
        pyramid = BiFPN(
            backbone.feature_channels,
            channels,
            settings.pyramid_depth,
            settings.fusion,
            activation,
            levels,
        )
        class_head, box_head = (
            EfficientDetHead(channels, settings.head_depth, levels, per_cell, values, activation)
            for values in (num_classes, 4)
        )
        nn.init.constant_(class_head.predict.pointwise.bias, PRIOR_BIAS)
        nn.init.zeros_(box_head.predict.pointwise.bias)
        # The published weights write deltas as (dy, dx, dh, dw) and do not clamp them.
        coder = BoxCoder(order="yxhw", max_log_scale=None)
        super().__init__(backbone, pyramid, class_head, box_head, anchors, coder)
