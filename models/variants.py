"""Every network that can be built by name: one row each.

To add one: write its file in this folder, then its row here. The row also states the input that
the network was trained on, which its exported package carries to the service.

Networks, and PyTorch, are imported where one is built: listing the rows takes neither.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from models.changes import CHANGES
from service.imaging.input_spec import CentreCrop, InputSpec, Letterbox, ShorterSide
from service.manifest import Task

if TYPE_CHECKING:
    from torch import nn

    from models.anchors import AnchorSettings

Channels = tuple[float, float, float]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Variant:
    """A row: what a network is for, how to build it for a number of classes, and a detector with
    ``anchors`` of the owner's, and what it reads."""

    task: Task
    build: "Callable[..., nn.Module]"
    input: InputSpec


def letterbox(size: int, mean: Channels, std: Channels, fill: Channels | None = None) -> Letterbox:
    """A square input whose empty part is ``fill`` (0 to 1), or else of the mean colour."""
    red, green, blue = (round(255 * channel) for channel in (fill or mean))
    return Letterbox(
        height=size,
        width=size,
        interpolation="bilinear",
        mean=mean,
        std=std,
        fill=(red, green, blue),
    )


def centre_crop(
    size: int,
    shorter_side: int,
    interpolation: Literal["bilinear", "bicubic"] = "bicubic",
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
) -> CentreCrop:
    """A square of ``size`` out of a photo whose shorter side is scaled to ``shorter_side``."""
    return CentreCrop(
        height=size,
        width=size,
        interpolation=interpolation,
        mean=mean,
        std=std,
        shorter_side=shorter_side,
    )


# torchvision's detectors: COCO photos at 800 x 1333 at most, filled with the mean colour, and
# trained without antialias.
SHORTER_SIDE_800 = ShorterSide(
    height=1344,
    width=1344,
    interpolation="bilinear",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    antialias=False,
    fill=(124, 116, 104),
    shorter_side=800,
    longer_side=1333,
    divisor=32,
)
FROM_IMAGENET = "_from_imagenet"  # rows whose backbone's norms have the usual eps
CROP_224 = centre_crop(224, 256, "bilinear")

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")
# variant: (torchvision's crop, shorter side), (TensorFlow's crop, shorter side)
EFFICIENTNET_SIZES = {
    "efficientnet_b0": ((224, 256), (224, 256)),
    "efficientnet_b1": ((240, 256), (240, 272)),
    "efficientnet_b2": ((288, 288), (260, 292)),
    "efficientnet_b3": ((300, 320), (300, 331)),
    "efficientnet_b4": ((380, 384), (380, 412)),
    "efficientnet_b5": ((456, 456), (456, 488)),
    "efficientnet_b6": ((528, 528), (528, 560)),
    "efficientnet_b7": ((600, 600), (600, 632)),
}
EFFICIENTNET_LITE_SIZES = {
    "efficientnet_lite0": (224, 256),
    "efficientnet_lite1": (240, 272),
    "efficientnet_lite2": (260, 292),
    "efficientnet_lite3": (300, 331),
    "efficientnet_lite4": (380, 413),
}
EFFICIENTDET_SIZES = {
    "tf_efficientdet_d0": 512,
    "tf_efficientdet_d1": 640,
    "tf_efficientdet_d2": 768,
    "tf_efficientdet_d3": 896,
    "tf_efficientdet_d4": 1024,
    "tf_efficientdet_d5": 1280,
    "tf_efficientdet_d6": 1280,
    "tf_efficientdet_d7": 1536,
    "tf_efficientdet_d7x": 1536,
    "efficientdet_d0": 512,
    "efficientdet_d1": 640,
    "efficientdet_d2": 768,
    "efficientdet_d3": 896,
    "efficientdet_d4": 1024,
    "efficientdet_d5": 1280,
    "efficientdet_lite0": 320,
    "efficientdet_lite1": 384,
    "efficientdet_lite2": 448,
    "efficientdet_lite3": 512,
    "efficientdet_lite3x": 640,
    "efficientdet_lite4": 640,
}
RETINANETS = (
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_from_imagenet",
    "retinanet_resnet18_fpn",
    "retinanet_resnet34_fpn",
    "retinanet_resnet101_fpn",
    "retinanet_resnet50_fpn_v2",
    "retinanet_lite0",
)
RCNNS = (("rcnn_lite0", HALF, HALF), ("rcnn_resnet50", IMAGENET_MEAN, IMAGENET_STD))
FASTER_RCNNS = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_from_imagenet",
    "fasterrcnn_resnet50_fpn_roi_pool",
)


def _resnet(name: str, classes: int) -> "nn.Module":
    from models.resnet import SETTINGS, ResNet

    return ResNet(SETTINGS[name], classes)


def _vgg(name: str, batch_norm: bool, classes: int) -> "nn.Module":
    from models.vgg import DEPTHS, VGG

    return VGG(DEPTHS[name], batch_norm, classes)


def _efficientnet(name: str, classes: int) -> "nn.Module":
    from models.efficientnet import SCALINGS, EfficientNet

    return EfficientNet(SCALINGS[name], classes)


def _torchvision_efficientnet(name: str, classes: int) -> "nn.Module":
    from models.efficientnet import PYTORCH, PYTORCH_LARGE, SCALINGS, EfficientNet

    convention = PYTORCH_LARGE if name[-1] in "567" else PYTORCH
    return EfficientNet(SCALINGS[name], classes, convention=convention)


def _efficientdet(name: str, classes: int, anchors: "AnchorSettings | None" = None) -> "nn.Module":
    from models.efficientdet import SETTINGS, EfficientDet

    return EfficientDet(SETTINGS[name], classes, anchors)


def _retinanet(name: str, classes: int, anchors: "AnchorSettings | None" = None) -> "nn.Module":
    from models.retinanet import SETTINGS, RetinaNet

    return RetinaNet(SETTINGS[name], classes, anchors)


def _faster_rcnn(name: str, classes: int, anchors: "AnchorSettings | None" = None) -> "nn.Module":
    from models.faster_rcnn import SETTINGS, FasterRCNN

    return FasterRCNN(SETTINGS[name], classes, anchors)


def _rcnn(name: str, classes: int) -> "nn.Module":
    from models.rcnn import RCNN, SETTINGS

    return RCNN(SETTINGS[name], VARIANTS[SETTINGS[name].classifier].build(1), classes)


def _efficientnets() -> dict[str, Variant]:
    rows = {}
    for name, (torchvision, tensorflow) in EFFICIENTNET_SIZES.items():
        build = partial(_torchvision_efficientnet, name)
        rows[name] = Variant("classification", build, centre_crop(*torchvision))
        build = partial(_efficientnet, name)
        rows[f"tf_{name}"] = Variant("classification", build, centre_crop(*tensorflow))
    for name, size in EFFICIENTNET_LITE_SIZES.items():
        build = partial(_efficientnet, name)
        rows[name] = Variant("classification", build, centre_crop(*size, mean=HALF, std=HALF))
    return rows


def _efficientdets() -> dict[str, Variant]:
    rows = {}
    for name, size in EFFICIENTDET_SIZES.items():
        lite = "lite" in name
        mean, std = (HALF, HALF) if lite else (IMAGENET_MEAN, IMAGENET_STD)
        spec = letterbox(size, mean, std)
        rows[name] = Variant("detection", partial(_efficientdet, name), spec)
    # D0 to D5 trained with adversarial examples (AdvProp, arXiv 1911.09665) read other colours
    for number in range(6):
        row = rows[f"tf_efficientdet_d{number}"]
        spec = letterbox(row.input.height, HALF, HALF, fill=(0.0, 0.0, 0.0))
        rows[f"tf_efficientdet_d{number}_ap"] = replace(row, input=spec)
    return rows


def _retinanets() -> dict[str, Variant]:
    rows = {
        name: Variant("detection", partial(_retinanet, name), SHORTER_SIDE_800)
        for name in RETINANETS
    }
    lite = replace(rows["retinanet_lite0"], input=letterbox(320, HALF, HALF))
    return {**rows, "retinanet_lite0": lite}


VARIANTS: dict[str, Variant] = {
    **{name: Variant("classification", partial(_resnet, name), CROP_224) for name in RESNETS},
    **{
        name + suffix: Variant("classification", partial(_vgg, name, norm), CROP_224)
        for name in VGGS
        for suffix, norm in (("", False), ("_bn", True))
    },
    **_efficientnets(),
    **_efficientdets(),
    **_retinanets(),
    **{n: Variant("detection", partial(_faster_rcnn, n), SHORTER_SIDE_800) for n in FASTER_RCNNS},
    **{n: Variant("detection", partial(_rcnn, n), letterbox(512, *c)) for n, *c in RCNNS},
}


def at_size(variant: Variant, size: int) -> Variant:
    """``variant`` reading inputs of ``size`` pixels a side: a square's, or the shorter of those
    that vary. What else is stated in pixels grows or shrinks in proportion."""
    spec = variant.input
    if isinstance(spec, ShorterSide):
        factor = size / spec.shorter_side
        longer = round(spec.longer_side * factor)
        longest = -(-longer // spec.divisor) * spec.divisor
        sides = {"height": longest, "width": longest, "shorter_side": size, "longer_side": longer}
    else:
        sides = {"height": size, "width": size}
        if isinstance(spec, CentreCrop):
            sides["shorter_side"] = round(spec.shorter_side * (size / spec.height))
    return replace(variant, input=spec.model_copy(update=sides))


def with_anchors(variant: Variant, anchors: "AnchorSettings") -> Variant:
    """A detector's ``variant`` with anchors of the owner's."""
    return replace(variant, build=partial(variant.build, anchors=anchors))


def anchors_of(variant: Variant) -> "AnchorSettings | None":
    """A detector's; None where it has none."""
    network = _shapes(variant)
    proposals = getattr(network, "rpn", None)
    anchors: AnchorSettings | None = getattr(network, "anchors", None)
    return anchors if proposals is None else proposals.anchors.settings


def sibling_of(name: str) -> str | None:
    """The row whose tensors have the names and shapes of those of ``name``, and which computes
    otherwise: as TensorFlow does ("tf_…") or as PyTorch. None if there is none."""
    other = name.removeprefix("tf_") if name.startswith("tf_") else f"tf_{name}"
    if other not in VARIANTS or name not in VARIANTS:
        return None
    states = [_shapes(VARIANTS[row]).state_dict() for row in (name, other)]
    shapes = [{key: tensor.shape for key, tensor in state.items()} for state in states]
    return other if shapes[0] == shapes[1] else None


def siblings_of(name: str) -> list[str]:
    """The rows with tensors of the same names and shapes, which compute otherwise."""
    base = name.removesuffix(FROM_IMAGENET)
    eps = base if base != name else f"{name}{FROM_IMAGENET}"
    return [other for other in (sibling_of(name), eps if eps in VARIANTS else None) if other]


def _shapes(variant: Variant) -> "nn.Module":
    """Its network without values, which takes no memory and no time."""
    import torch

    with torch.device("meta"):
        return variant.build(1)


def find_variant(name: str) -> Variant:
    """The row called ``name``, which may end in a "+" and one of `models.changes`.

    Raises KeyError if there is none.
    """
    base, plus, suffix = name.partition("+")
    row = VARIANTS[base]
    if not plus:
        return row
    change = CHANGES[suffix]
    if not change.suits(base, row.task):
        raise KeyError(name)
    return replace(
        row, build=lambda classes, **more: change.apply(row.build(classes, **more), classes)
    )
