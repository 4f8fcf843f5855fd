"""RetinaNet: a backbone, FPN, and two convolutional heads shared by all levels.

Lin et al., "Focal Loss for Dense Object Detection", arXiv 1708.02002, Figure 3.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from models.anchors import RETINANET_ANCHORS, AnchorSettings, retinanet_anchors
from models.backbones import build_backbone
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.fpn import FPN, Top
from models.heads import PRIOR_BIAS, join_levels

HeadNorm = Literal["none", "group", "batch"]

NORM_GROUPS = 32
CONVOLVED_LEVELS = 2  # P6 and P7, above the backbone's


@dataclass(frozen=True)
class RetinaNetSettings:
    """A RetinaNet's backbone and sizes.

    channels: width of the pyramid and of the heads; the paper's 256.
    head_depth: convolutions before each head's prediction; the paper's 4.
    top: what the pyramid's P6 is made of.
    head_norm: what follows the heads' convolutions: nothing, as in the paper; group norm (arXiv
        1803.08494); or batch norm, whose statistics each level has for itself, because the levels
        share weights but not a distribution of features (NAS-FPN, arXiv 1904.07392, does so too).
    norm_eps: of a ResNet backbone's batch norms.
    """

    backbone: str
    channels: int = 256
    head_depth: int = 4
    anchors: AnchorSettings = field(default=RETINANET_ANCHORS)
    top: Top = "convolved C5"
    head_norm: HeadNorm = "none"
    norm_eps: float = 1e-5


SETTINGS = {
    # torchvision's first version. Its COCO weights were trained with batch norms that add nothing
    # to the variance; what is trained from ImageNet's weights has the usual eps.
    "retinanet_resnet50_fpn": RetinaNetSettings("resnet50", top="convolved P5", norm_eps=0.0),
    "retinanet_resnet50_fpn_from_imagenet": RetinaNetSettings("resnet50", top="convolved P5"),
    "retinanet_resnet18_fpn": RetinaNetSettings("resnet18", top="convolved P5"),
    "retinanet_resnet34_fpn": RetinaNetSettings("resnet34", top="convolved P5"),
    "retinanet_resnet101_fpn": RetinaNetSettings("resnet101", top="convolved P5"),
    # torchvision's second version
    "retinanet_resnet50_fpn_v2": RetinaNetSettings("resnet50", head_norm="group"),
    # At 320 pixels the paper's heads would cost fourteen times the backbone; a quarter as wide they
    # cost as much. The anchors start a quarter smaller because the objects are smaller too. Without
    # norms, heads this narrow learn several times more slowly (docs/training.md); at export they
    # become part of the convolutions.
    "retinanet_lite0": RetinaNetSettings(
        "efficientnet_lite0", channels=64, anchors=retinanet_anchors(24), head_norm="batch"
    ),
}


class HeadConv(nn.Module):
    """3x3 convolution, the norm that the settings ask for, ReLU."""

    def __init__(self, channels: int, norm: HeadNorm, levels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none")
        if norm == "group":
            self.norm = nn.GroupNorm(NORM_GROUPS, channels)
        elif norm == "batch":
            self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(levels))
        self._kind = norm

    def forward(self, x: Tensor, level: int) -> Tensor:
        x = self.conv(x)
        if self._kind == "group":
            x = self.norm(x)
        elif self._kind == "batch":
            x = self.norms[level](x)
        return F.relu(x)


class RetinaNetHead(nn.Module):
    """``head_depth`` convolutions, and a 3x3 prediction of ``values`` for each anchor.

    Pyramid levels [N, channels, H_l, W_l] -> raw outputs [N, A, values].
    """

    def __init__(
        self, settings: RetinaNetSettings, levels: int, values: int, prior_bias: float
    ) -> None:
        super().__init__()
        self.values = values
        channels = settings.channels
        self.convs = nn.ModuleList(
            HeadConv(channels, settings.head_norm, levels) for _ in range(settings.head_depth)
        )
        self.predict = nn.Conv2d(channels, settings.anchors.per_cell * values, 3, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.normal_(conv.weight, std=0.01)
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)
        nn.init.constant_(self.predict.bias, prior_bias)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        return join_levels([self._level(x, i) for i, x in enumerate(pyramid)], self.values)

    def _level(self, x: Tensor, level: int) -> Tensor:
        for conv in self.convs:
            x = conv(x, level)
        return self.predict(x)


class RetinaNet(OneStageDetector):
    """The network of one row of `SETTINGS`."""

    class_layer = "class_head.predict"

    def __init__(
        self,
        settings: RetinaNetSettings,
        num_classes: int,
        anchors: AnchorSettings | None = None,
    ) -> None:
        """anchors: in place of the settings' own."""
        settings = replace(settings, anchors=anchors or settings.anchors)
        backbone = build_backbone(settings.backbone, norm_eps=settings.norm_eps)
        levels = len(backbone.feature_channels) + CONVOLVED_LEVELS
        super().__init__(
            backbone,
            FPN(backbone.feature_channels, settings.channels, settings.top),
            class_head=RetinaNetHead(settings, levels, num_classes, PRIOR_BIAS),
            box_head=RetinaNetHead(settings, levels, 4, 0.0),
            anchors=settings.anchors,
            box_coder=BoxCoder(),
        )
