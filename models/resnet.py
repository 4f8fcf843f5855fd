"""ResNet (He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385, Table 1).

Layers carry the names of the public checkpoints: conv1, bn1, layer1 to layer4. As in these, a
bottleneck's stride is in its 3x3 convolution, where the paper has it in the first 1x1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from models.staged import StagedBackbone

WIDTHS = (64, 128, 256, 512)  # of the 3x3 convolutions in the paper's conv2_x to conv5_x
BOTTLENECK_EXPANSION = 4


@dataclass(frozen=True)
class ResNetSettings:
    """One column of the paper's Table 1: blocks in conv2_x to conv5_x, and of which kind."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool

    @property
    def channels(self) -> tuple[int, ...]:
        """Of C2, C3, C4 and C5."""
        return tuple(width * (BOTTLENECK_EXPANSION if self.bottleneck else 1) for width in WIDTHS)


SETTINGS = {
    "resnet18": ResNetSettings((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetSettings((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetSettings((3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetSettings((3, 4, 23, 3), bottleneck=True),
    "resnet152": ResNetSettings((3, 8, 36, 3), bottleneck=True),
}


def shortcut(in_channels: int, out_channels: int, stride: int, eps: float) -> nn.Sequential | None:
    """Projection of a block's input where its shape changes (the paper's option B)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels, eps),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (the paper's Figure 5, left)."""

    def __init__(self, in_channels: int, width: int, stride: int, eps: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.relu = nn.ReLU()
        self.downsample = shortcut(in_channels, width, stride, eps)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut (the paper's Figure 5, right)."""

    def __init__(self, in_channels: int, width: int, stride: int, eps: float) -> None:
        super().__init__()
        out_channels = width * BOTTLENECK_EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels, eps)
        self.relu = nn.ReLU()
        self.downsample = shortcut(in_channels, out_channels, stride, eps)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNetBackbone(StagedBackbone):
    """Normalised images [N, 3, H, W] -> the features of ``levels``, C_l at stride 2^l."""

    def __init__(
        self,
        settings: ResNetSettings,
        levels: tuple[int, ...] = (3, 4, 5),
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.feature_stages = tuple(level - 2 for level in levels)  # C2 is of the first
        self.feature_channels = tuple(settings.channels[level - 2] for level in levels)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64, norm_eps)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        block = Bottleneck if settings.bottleneck else BasicBlock
        in_channels = 64
        for index, (width, count) in enumerate(zip(WIDTHS, settings.blocks, strict=True)):
            blocks = []
            for repeat in range(count):
                stride = 2 if index > 0 and repeat == 0 else 1
                blocks.append(block(in_channels, width, stride, norm_eps))
                in_channels = settings.channels[index]
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))

    def stem_layers(self) -> Sequence[nn.Module]:
        return [self.conv1, self.bn1, self.relu, self.maxpool]

    def body(self) -> Sequence[nn.Module]:
        return [self.layer1, self.layer2, self.layer3, self.layer4]


class ResNet(nn.Module):
    """The classifier: normalised images [N, 3, H, W] -> logits [N, num_classes]."""

    class_layer = "classifier"

    def __init__(self, settings: ResNetSettings, num_classes: int) -> None:
        super().__init__()
        self.backbone = ResNetBackbone(settings, levels=(5,))
        self.classifier = nn.Linear(settings.channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.backbone(images)[-1].mean(dim=(2, 3)))
