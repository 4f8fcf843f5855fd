"""Every network that can be built by name: one row each.

To add one: write its file in this folder, then its row here. The row also states the input that
the network was trained on, which its exported package carries to the service.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from torch import nn

from models import efficientdet, efficientnet, faster_rcnn, resnet, retinanet, vgg
from models.bilinear import BilinearClassifier
from models.efficientdet import EfficientDet
from models.efficientnet import PYTORCH, PYTORCH_LARGE, EfficientNet
from models.faster_rcnn import FasterRCNN
from models.resnet import ResNet
from models.retinanet import NORM_GROUPS, RetinaNet
from models.vgg import VGG
from service.imaging.input_spec import CentreCrop, InputSpec, Letterbox, ShorterSide
from service.manifest import Task

Channels = tuple[float, float, float]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Variant:
    """A row: what a network is for, how to build it for a number of classes, what it reads."""

    task: Task
    build: Callable[[int], nn.Module]
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
CROP_224 = centre_crop(224, 256, "bilinear")

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


def _efficientnets() -> dict[str, Variant]:
    rows = {}
    for name, (torchvision, tensorflow) in EFFICIENTNET_SIZES.items():
        scaling = efficientnet.SCALINGS[name]
        convention = PYTORCH_LARGE if name[-1] in "567" else PYTORCH
        build = partial(EfficientNet, scaling, convention=convention)
        rows[name] = Variant("classification", build, centre_crop(*torchvision))
        build = partial(EfficientNet, scaling)
        rows[f"tf_{name}"] = Variant("classification", build, centre_crop(*tensorflow))
    for name, size in EFFICIENTNET_LITE_SIZES.items():
        build = partial(EfficientNet, efficientnet.SCALINGS[name])
        rows[name] = Variant("classification", build, centre_crop(*size, mean=HALF, std=HALF))
    return rows


def _efficientdets() -> dict[str, Variant]:
    rows = {}
    for name, settings in efficientdet.SETTINGS.items():
        lite = "lite" in name
        mean, std = (HALF, HALF) if lite else (IMAGENET_MEAN, IMAGENET_STD)
        spec = letterbox(settings.size, mean, std)
        rows[name] = Variant("detection", partial(EfficientDet, settings), spec)
    # D0 to D5 trained with adversarial examples (AdvProp, arXiv 1911.09665) read other colours
    for number in range(6):
        row = rows[f"tf_efficientdet_d{number}"]
        spec = letterbox(row.input.height, HALF, HALF, fill=(0.0, 0.0, 0.0))
        rows[f"tf_efficientdet_d{number}_ap"] = replace(row, input=spec)
    return rows


def _retinanets() -> dict[str, Variant]:
    rows = {
        name: Variant("detection", partial(RetinaNet, settings), SHORTER_SIDE_800)
        for name, settings in retinanet.SETTINGS.items()
    }
    lite = replace(rows["retinanet_lite0"], input=letterbox(320, HALF, HALF))
    return {**rows, "retinanet_lite0": lite}


VARIANTS: dict[str, Variant] = {
    **{
        name: Variant("classification", partial(ResNet, settings), CROP_224)
        for name, settings in resnet.SETTINGS.items()
    },
    **{
        name + suffix: Variant("classification", partial(VGG, depths, norm), CROP_224)
        for name, depths in vgg.DEPTHS.items()
        for suffix, norm in (("", False), ("_bn", True))
    },
    **_efficientnets(),
    **_efficientdets(),
    **_retinanets(),
    **{
        name: Variant("detection", partial(FasterRCNN, settings), SHORTER_SIDE_800)
        for name, settings in faster_rcnn.SETTINGS.items()
    },
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


def find_variant(name: str) -> Variant:
    """The row called ``name``; a classifier's name with "+bilinear" has a bilinear head, and a
    detector's with "+groupnorm" has group norms in its pyramid and heads.

    Raises KeyError if there is none.
    """
    base, plus, suffix = name.partition("+")
    row = VARIANTS[base]
    if not plus:
        return row
    task, change = CHANGES[suffix]
    if row.task != task:
        raise KeyError(name)
    return replace(row, build=lambda classes: change(row.build(classes), classes))


def with_bilinear_head(classifier: nn.Module, num_classes: int) -> nn.Module:
    """``classifier`` with factorised bilinear coding in place of its head."""
    return BilinearClassifier(classifier.get_submodule("backbone"), num_classes)


def with_group_norms(detector: nn.Module, num_classes: int) -> nn.Module:
    """``detector`` with group norms (arXiv 1803.08494) in place of the batch norms outside its
    backbone, which do not suffer from small batches."""
    for name, module in list(detector.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and not name.startswith("backbone."):
            parent, _, own = name.rpartition(".")
            channels = module.num_features
            norm = nn.GroupNorm(math.gcd(NORM_GROUPS, channels), channels, module.eps)
            setattr(detector.get_submodule(parent), own, norm)
    return detector


# What may follow an architecture's name: for which task, and what it changes.
CHANGES: dict[str, tuple[Task, Callable[[nn.Module, int], nn.Module]]] = {
    "bilinear": ("classification", with_bilinear_head),
    "groupnorm": ("detection", with_group_norms),
}
