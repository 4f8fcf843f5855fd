"""The feature extractors that detectors and bilinear classifiers are built on, by name."""

from torch import nn

from models import efficientnet, resnet, vgg
from models.efficientnet import TENSORFLOW, Convention, EfficientNetBackbone
from models.resnet import ResNetBackbone
from models.vgg import VGGBackbone


def build_backbone(
    name: str, convention: Convention = TENSORFLOW, norm_eps: float = 1e-5
) -> nn.Module:
    """A backbone whose last features are C3, C4, C5 (VGG: the last one only).

    ``convention`` is for EfficientNets, ``norm_eps`` for ResNets. Raises KeyError for another name.
    """
    if name in efficientnet.SCALINGS:
        return EfficientNetBackbone(efficientnet.SCALINGS[name], convention)
    if name in resnet.SETTINGS:
        return ResNetBackbone(resnet.SETTINGS[name], norm_eps=norm_eps)
    depths, _, norm = name.partition("_")
    return VGGBackbone(vgg.DEPTHS[depths], batch_norm=norm == "bn")
