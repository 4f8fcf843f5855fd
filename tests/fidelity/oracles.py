"""The public implementations that our networks are held to: torchvision, timm and effdet.

They are oracles only: nothing outside this folder imports them. Without the compiled part of
torchvision its package still imports once the two operators that it asks for are defined.
"""

import sys
from zlib import crc32

import torch
from torch import Tensor, nn

try:
    import torchvision
except RuntimeError:
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

    def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        order = scores.argsort(descending=True, stable=True)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        kept = []
        while len(order):
            best, rest = order[0], order[1:]
            kept.append(int(best))
            corner = torch.maximum(boxes[best, :2], boxes[rest, :2])
            sides = torch.minimum(boxes[best, 2:], boxes[rest, 2:]) - corner
            shared = sides.clamp(min=0).prod(dim=1)
            iou = shared / (areas[best] + areas[rest] - shared)
            order = rest[~(iou > iou_threshold)]  # two empty boxes (NaN) both stay
        return torch.tensor(kept, dtype=torch.int64)

    _library.impl("nms", _nms, "CPU")
    import torchvision.extension
    from torchvision.ops import roi_align as _  # noqa: F401  loads the module of that name

    _roi_align = sys.modules["torchvision.ops.roi_align"]
    _interpolate = _roi_align._bilinear_interpolate

    def _interpolate_inside(
        feature: Tensor, image: Tensor, y: Tensor, x: Tensor, *masks: Tensor | None
    ) -> Tensor:
        """The compiled kernel gives 0 past the feature's border; this stand-in for it does not."""
        inside_y = (y <= feature.shape[2])[:, None, :, None, :, None]
        inside_x = (x <= feature.shape[3])[:, None, None, :, None, :]
        return _interpolate(feature, image, y, x, *masks) * inside_y * inside_x

    _roi_align._bilinear_interpolate = _interpolate_inside

    def _has_ops() -> bool:
        return True

    torchvision.extension._has_ops = _has_ops
    import torchvision

import timm
from effdet import DetBenchPredict, EfficientDet
from effdet.anchors import Anchors, decode_box_outputs
from effdet.config import get_efficientdet_config
from effdet.data.transforms import ResizePad
from torchvision.models import get_model
from torchvision.models.detection import (
    RetinaNet,
    fasterrcnn_resnet50_fpn,
    retinanet_resnet50_fpn,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.transforms import v2

from models.variants import VARIANTS

__all__ = [
    "AnchorGenerator",
    "Anchors",
    "DetBenchPredict",
    "EfficientDet",
    "GeneralizedRCNNTransform",
    "ImageList",
    "ResizePad",
    "decode_box_outputs",
    "fasterrcnn_resnet50_fpn",
    "get_efficientdet_config",
    "get_model",
    "retinanet_resnet50_fpn",
    "timm",
    "torchvision",
    "v2",
]
# torchvision sets the norms' eps to 0 when it loads its own COCO weights of these.
COCO_V1 = ("retinanet_resnet50_fpn", "fasterrcnn_resnet50_fpn")


def num_classes(variant: str) -> int:
    """Classes of the public checkpoint of ``variant``, as our networks count them."""
    if VARIANTS[variant].task == "classification":
        return 1000
    return 91 if variant.startswith("retinanet") else 90


def build_oracle(variant: str, size: int | None = None) -> nn.Module:
    """The public network that ``variant`` is to equal, with random weights.

    ``size`` is an EfficientDet's, whose public version is built for one.
    """
    if "efficientdet" in variant:
        return _effdet(variant, size)
    if variant.startswith(("efficientnet_lite", "tf_efficientnet")):
        return timm.create_model(variant if variant.startswith("tf_") else f"tf_{variant}")
    backbone = variant.removeprefix("retinanet_").removesuffix("_fpn")
    if variant.startswith("retinanet") and backbone in ("resnet18", "resnet34", "resnet101"):
        return _retinanet(backbone)
    name = variant.removesuffix("_from_imagenet")
    detects = VARIANTS[variant].task == "detection"
    network = get_model(name, weights=None, **({"weights_backbone": None} if detects else {}))
    if variant in COCO_V1:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    return network


def _effdet(variant: str, size: int | None) -> nn.Module:
    config = get_efficientdet_config(f"tf_{variant}" if "lite" in variant else variant)
    config.num_classes = 90
    if size is not None:
        config.image_size = (size, size)
    return EfficientDet(config, pretrained_backbone=False)


def _retinanet(backbone: str) -> nn.Module:
    features = resnet_fpn_backbone(
        backbone_name=backbone,
        weights=None,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
        norm_layer=nn.BatchNorm2d,
    )
    return RetinaNet(features, num_classes=91)


def seeded_state(network: nn.Module) -> dict[str, Tensor]:
    """A state dict for ``network`` filled from a generator seeded by each key's name, so that two
    implementations with equal keys get equal weights. Scales are those of a trained network."""
    return {key: _seeded(key, tensor) for key, tensor in network.state_dict().items()}


def _seeded(key: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    generator = torch.Generator().manual_seed(crc32(key.encode()))
    noise = torch.rand(tensor.shape, generator=generator)
    if key.endswith("running_var"):
        return noise + 0.5
    if key.endswith("edge_weights"):
        return noise + 0.1
    if tensor.ndim > 1:  # uniform, with the variance 1 / fan in
        return (noise - 0.5) * (12 / tensor[0].numel()) ** 0.5
    if key.endswith("bn3.weight"):  # the norm that ends a bottleneck
        return noise * 0.2 + 0.1  # trained ones are small; random ones would amplify rounding
    if key.endswith("weight"):  # of another norm
        return noise * 0.5 + 0.75
    return (noise - 0.5) * 0.2
