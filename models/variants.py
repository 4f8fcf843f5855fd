"""Every network that can be built by name: one row each.

To add one: write its file in this folder, then its row here. The row also states the input that
the network was trained on, which its exported package carries to the service.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from models import efficientdet, efficientnet, retinanet
from models.efficientdet import EfficientDet
from models.efficientnet import EfficientNet
from models.retinanet import RetinaNet

Task = Literal["classification", "detection"]


@dataclass(frozen=True)
class InputSpec:
    """How a photo becomes the network's input.

    height, width: of the input, in pixels.
    resize: "letterbox" fits the photo into the top left corner and fills the rest with ``fill``;
        "centre_crop" resizes the shorter side to ``shorter_side`` and cuts the middle out.
    interpolation: "bilinear" or "bicubic", as Pillow's resize does them.
    mean, std: of the channels R, G, B after scaling to 0..1; the input is (x - mean) / std.
    """

    height: int
    width: int
    resize: Literal["letterbox", "centre_crop"]
    interpolation: Literal["bilinear", "bicubic"]
    shorter_side: int | None = None
    fill: tuple[int, int, int] = (128, 128, 128)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Variant:
    """A row: what a network is for, how to build it for a number of classes, what it reads."""

    task: Task
    build: Callable[[int], nn.Module]
    input: InputSpec


IMAGENET_224 = InputSpec(224, 224, "centre_crop", "bicubic", shorter_side=256)
LETTERBOX_320 = InputSpec(320, 320, "letterbox", "bilinear")

VARIANTS: dict[str, Variant] = {
    "efficientnet_lite0": Variant(
        "classification",
        lambda classes: EfficientNet(efficientnet.SCALINGS["efficientnet_lite0"], classes),
        IMAGENET_224,
    ),
    "efficientdet_lite0": Variant(
        "detection",
        lambda classes: EfficientDet(efficientdet.SETTINGS["efficientdet_lite0"], classes),
        LETTERBOX_320,
    ),
    "retinanet_lite0": Variant(
        "detection",
        lambda classes: RetinaNet(retinanet.SETTINGS["retinanet_lite0"], classes),
        LETTERBOX_320,
    ),
}
