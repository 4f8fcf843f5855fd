"""RetinaNet: a backbone, FPN, and two convolutional heads shared by all levels.

Lin et al., "Focal Loss for Dense Object Detection", arXiv 1708.02002, Figure 3.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn

from models.anchors import RETINANET_ANCHORS, AnchorSettings, retinanet_anchors
from models.backbones import build_backbone
from models.box_coder import BoxCoder
from models.detector import OneStageDetector
from models.fpn import FPN, Top
from models.heads import PRIOR_BIAS, join_levels

NORM_GROUPS = 32


@dataclass(frozen=True)
class RetinaNetSettings:
    """A RetinaNet's backbone and sizes.

    channels: width of the pyramid and of the heads; the paper's 256.
    head_depth: convolutions before each head's prediction; the paper's 4.
    top: what the pyramid's P6 is made of.
    group_norm: whether the heads' convolutions are followed by group norm (arXiv 1803.08494).
    norm_eps: of a ResNet backbone's batch norms.
    """

    backbone: str
    channels: int = 256
    head_depth: int = 4
    anchors: AnchorSettings = field(default=RETINANET_ANCHORS)
    top: Top = "convolved C5"
    group_norm: bool = False
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
    "retinanet_resnet50_fpn_v2": RetinaNetSettings("resnet50", group_norm=True),
    # At 320 pixels the paper's heads would cost fourteen times the backbone; a quarter as wide they
    # cost as much. The anchors start a quarter smaller because the objects are smaller too.
    "retinanet_lite0": RetinaNetSettings(
        "efficientnet_lite0", channels=64, anchors=retinanet_anchors(24)
    ),
}


class HeadConv(nn.Sequential):
    """3x3 convolution, group norm if asked for, ReLU."""

    def __init__(self, channels: int, group_norm: bool) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, 3, padding=1, bias=not group_norm)
        self.add_module("conv", conv)
        if group_norm:
            self.add_module("norm", nn.GroupNorm(NORM_GROUPS, channels))
        self.add_module("activation", nn.ReLU())


class RetinaNetHead(nn.Module):
    """``head_depth`` convolutions, and a 3x3 prediction of ``values`` for each anchor.

    Pyramid levels [N, channels, H_l, W_l] -> raw outputs [N, A, values].
    """

    def __init__(self, settings: RetinaNetSettings, values: int, prior_bias: float) -> None:
        super().__init__()
        self.values = values
        channels = settings.channels
        self.convs = nn.Sequential(
            *(HeadConv(channels, settings.group_norm) for _ in range(settings.head_depth))
        )
        self.predict = nn.Conv2d(channels, settings.anchors.per_cell * values, 3, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.normal_(conv.weight, std=0.01)
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)
        nn.init.constant_(self.predict.bias, prior_bias)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        return join_levels([self.predict(self.convs(x)) for x in pyramid], self.values)


class RetinaNet(OneStageDetector):
    """The network of one row of `SETTINGS`."""

    class_layer = "class_head.predict"

    def __init__(self, settings: RetinaNetSettings, num_classes: int) -> None:
        backbone = build_backbone(settings.backbone, norm_eps=settings.norm_eps)
        super().__init__(
            backbone,
            FPN(backbone.feature_channels, settings.channels, settings.top),
            class_head=RetinaNetHead(settings, num_classes, PRIOR_BIAS),
            box_head=RetinaNetHead(settings, 4, 0.0),
            anchors=settings.anchors,
            box_coder=BoxCoder(),
        )
