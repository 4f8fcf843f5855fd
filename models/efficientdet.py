"""EfficientDet: an EfficientNet backbone, BiFPN, and shared class and box heads.

Tan, Pang and Le, "EfficientDet: Scalable and Efficient Object Detection", arXiv 1911.09070. The
paper scales everything with one number phi (section 4.2):

    W_bifpn = 64 · 1.35^phi     D_bifpn = 3 + phi               (equation 1)
    D_box = D_class = 3 + floor(phi / 3)                        (equation 2)
    R_input = 512 + 128 · phi                                   (equation 3)

The published variants round the widths, and depart from the formulas from D6 on; Table 1 lists what
they are, and so does `SETTINGS`; inputs' sizes are in variants.py. The Lite variants use
EfficientNet-Lite, ReLU6 and plain sums.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.anchors import AnchorSettings, efficientdet_anchors
from models.backbones import build_backbone
from models.bifpn import BiFPN, BiFPNSettings, FusionKind, batch_norm
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.efficientnet import PYTORCH, TENSORFLOW, Convention
from models.heads import PRIOR_BIAS, join_levels
from models.layers import Activation, SeparableConv2d


@dataclass(frozen=True)
class EfficientDetSettings:
    """One row of the paper's Table 1, and the conventions that its checkpoints were trained with.

    pyramid_channels, pyramid_depth, head_depth: W_bifpn, D_bifpn and D_box.
    anchor_scale: an anchor's smallest side at each level, in strides.
    convention: of the backbone.
    pyramid_convention: of the pyramid and heads; in PyTorch's, convolutions before a norm have no
        bias.
    """

    backbone: str
    pyramid_channels: int
    pyramid_depth: int
    head_depth: int
    anchor_scale: float = 4.0
    fusion: FusionKind = "fast"
    levels: int = 5
    convention: Convention = TENSORFLOW
    pyramid_convention: Convention = TENSORFLOW

    @property
    def anchors(self) -> AnchorSettings:
        return efficientdet_anchors(self.anchor_scale, self.levels)

    @property
    def activation(self) -> Activation:
        return nn.ReLU6 if "lite" in self.backbone else nn.SiLU

    @property
    def bifpn(self) -> BiFPNSettings:
        return BiFPNSettings(
            self.pyramid_channels,
            self.pyramid_depth,
            self.fusion,
            self.activation,
            self.levels,
            bias=self.pyramid_convention is TENSORFLOW,
            padding=self.pyramid_convention.padding,
        )


_Row = EfficientDetSettings
_PYTORCH = {"convention": PYTORCH, "pyramid_convention": PYTORCH}
# fmt: off
SETTINGS = {
    #                            backbone           W    D  D_box  what differs
    # trained in TensorFlow
    "tf_efficientdet_d0":   _Row("efficientnet_b0", 64,  3, 3),
    "tf_efficientdet_d1":   _Row("efficientnet_b1", 88,  4, 3),
    "tf_efficientdet_d2":   _Row("efficientnet_b2", 112, 5, 3),
    "tf_efficientdet_d3":   _Row("efficientnet_b3", 160, 6, 4),
    "tf_efficientdet_d4":   _Row("efficientnet_b4", 224, 7, 4),
    "tf_efficientdet_d5":   _Row("efficientnet_b5", 288, 7, 4),
    "tf_efficientdet_d6":   _Row("efficientnet_b6", 384, 8, 5, fusion="sum"),
    "tf_efficientdet_d7":   _Row("efficientnet_b6", 384, 8, 5, 5.0, fusion="sum"),
    "tf_efficientdet_d7x":  _Row("efficientnet_b7", 384, 8, 5, fusion="sum", levels=6),
    # trained in PyTorch; D4 and D5, of which no weights are published, keep TensorFlow's pyramid
    "efficientdet_d0":      _Row("efficientnet_b0", 64,  3, 3, **_PYTORCH),
    "efficientdet_d1":      _Row("efficientnet_b1", 88,  4, 3, **_PYTORCH),
    "efficientdet_d2":      _Row("efficientnet_b2", 112, 5, 3, **_PYTORCH),
    "efficientdet_d3":      _Row("efficientnet_b3", 160, 6, 4, **_PYTORCH),
    "efficientdet_d4":      _Row("efficientnet_b4", 224, 7, 4, convention=PYTORCH),
    "efficientdet_d5":      _Row("efficientnet_b5", 288, 7, 4, convention=PYTORCH),
    # Lite, trained in TensorFlow
    "efficientdet_lite0":   _Row("efficientnet_lite0", 64,  3, 3, 3.0, fusion="sum"),
    "efficientdet_lite1":   _Row("efficientnet_lite1", 88,  4, 3, 3.0, fusion="sum"),
    "efficientdet_lite2":   _Row("efficientnet_lite2", 112, 5, 3, 3.0, fusion="sum"),
    "efficientdet_lite3":   _Row("efficientnet_lite3", 160, 6, 4, 4.0, fusion="sum"),
    "efficientdet_lite3x":  _Row("efficientnet_lite3", 200, 6, 4, 3.0, fusion="sum"),
    "efficientdet_lite4":   _Row("efficientnet_lite4", 224, 7, 4, 4.0, fusion="sum"),
}
# fmt: on


class EfficientDetHead(nn.Module):
    """Separable convolutions shared by all levels, with norms of each level's own.

    Pyramid levels [N, channels, H_l, W_l] -> raw outputs [N, A, values].
    """

    def __init__(
        self, settings: EfficientDetSettings, values: int, prior_bias: float, per_cell: int
    ) -> None:
        super().__init__()
        self.values = values
        channels, depth = settings.pyramid_channels, settings.head_depth
        bias = settings.bifpn.bias
        self.convs = nn.ModuleList(SeparableConv2d(channels, channels, bias) for _ in range(depth))
        self.norms = nn.ModuleList(  # [depth][level]
            nn.ModuleList(batch_norm(channels) for _ in range(settings.levels))
            for _ in range(depth)
        )
        self.activation = settings.activation()
        self.predict = SeparableConv2d(channels, per_cell * values)
        nn.init.constant_(self.predict.pointwise.bias, prior_bias)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        return join_levels([self._level(x, i) for i, x in enumerate(pyramid)], self.values)

    def _level(self, x: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.convs, self.norms, strict=True):
            x = self.activation(norms[level](conv(x)))
        return self.predict(x)


class EfficientDet(OneStageDetector):
    """The network of one row of `SETTINGS`."""

    class_layer = "class_head.predict.pointwise"

    def __init__(
        self,
        settings: EfficientDetSettings,
        num_classes: int,
        anchors: AnchorSettings | None = None,
    ) -> None:
        """anchors: in place of the settings' own."""
        anchors = anchors or settings.anchors
        per_cell = anchors.per_cell
        backbone = build_backbone(settings.backbone, settings.convention)
        super().__init__(
            backbone,
            BiFPN(settings.bifpn, backbone.feature_channels),
            class_head=EfficientDetHead(settings, num_classes, PRIOR_BIAS, per_cell),
            box_head=EfficientDetHead(settings, 4, 0.0, per_cell),
            anchors=anchors,
            # The published weights write deltas as (dy, dx, dh, dw) and do not clamp them.
            box_coder=BoxCoder(order="yxhw", max_log_scale=None),
        )
