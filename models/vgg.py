"""VGG (Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", arXiv 1409.1556, Table 1), with and without batch norm.

Layers are numbered through as in the public checkpoints: features.0, features.1, …
"""

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512)  # of the five groups of 3x3 convolutions, each ended by a pool
HIDDEN = 4096
POOLED = 7  # cells a side that the classifier reads

# Convolutions in each group: the paper's configurations A, B, D and E.
DEPTHS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


class VGGBackbone(nn.Module):
    """Normalised images [N, 3, H, W] -> the last feature [N, 512, H / 32, W / 32], in a list."""

    def __init__(self, depths: tuple[int, ...], batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 3
        for width, depth in zip(WIDTHS, depths, strict=True):
            for _ in range(depth):
                layers.append(nn.Conv2d(in_channels, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU())
                in_channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.feature_channels = (WIDTHS[-1],)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.features(images)]


class VGG(nn.Module):
    """The classifier: normalised images [N, 3, H, W] -> logits [N, num_classes]."""

    class_layer = "classifier.6"

    def __init__(self, depths: tuple[int, ...], batch_norm: bool, num_classes: int) -> None:
        super().__init__()
        self.backbone = VGGBackbone(depths, batch_norm)
        self.pool = nn.AdaptiveAvgPool2d(POOLED)
        self.classifier = nn.Sequential(
            nn.Linear(WIDTHS[-1] * POOLED**2, HIDDEN),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HIDDEN, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.pool(self.backbone(images)[-1]).flatten(1))
