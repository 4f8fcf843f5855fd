"""The official public checkpoints of our variants: where they are, and what is said of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Metric = Literal["AP", "top-1"]

# Where each publisher's files are, and their licence.
TORCHVISION = "https://download.pytorch.org/models/", "BSD-3-Clause"
TIMM = (
    "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/",
    "Apache-2.0",
)
EFFDET = "https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/", "Apache-2.0"
# By what is measured, and on which data.
IMAGENET: tuple[Metric, str] = ("top-1", "ImageNet-1k")
COCO: tuple[Metric, str] = ("AP", "COCO 2017")


class ZooError(Exception):
    """A checkpoint that cannot be fetched; the message is one line and says what to do."""


@dataclass(frozen=True)
class ZooEntry:
    """A row: one public checkpoint, and what its publisher says of it.

    variant: the row of models/variants.py whose network it fits.
    sha256_prefix: start of the file's SHA-256 in hexadecimal, which ends its name.
    metric, value: "AP" is COCO's box AP at IoU .50:.95, "top-1" the accuracy; in percent.
    data: what it was trained on, and on whose validation photos ``value`` was measured.
    """

    variant: str
    url: str
    sha256_prefix: str
    metric: Metric
    value: float
    data: str
    licence: str

    @property
    def file(self) -> str:
        """The file's official name."""
        return self.url.rsplit("/", 1)[-1]


def _entries(
    publisher: tuple[str, str], figure: tuple[Metric, str], *rows: tuple[str, str, float]
) -> Iterator[ZooEntry]:
    """A row is the variant, its file, and the figure in percent."""
    (base, licence), (metric, data) = publisher, figure
    for variant, file, value in rows:
        prefix = file.removesuffix(".pth").rpartition("-")[2]
        yield ZooEntry(variant, base + file, prefix, metric, value, data, licence)


ENTRIES: tuple[ZooEntry, ...] = (
    *_entries(
        TORCHVISION,
        IMAGENET,
        # ResNet: IMAGENET1K_V1 of torchvision 0.28's models/resnet.py, its `acc@1`.
        ("resnet18", "resnet18-f37072fd.pth", 69.758),
        ("resnet34", "resnet34-b627a593.pth", 73.314),
        ("resnet50", "resnet50-0676ba61.pth", 76.130),
        ("resnet101", "resnet101-63fe2227.pth", 77.374),
        ("resnet152", "resnet152-394f9c45.pth", 78.312),
        # VGG: IMAGENET1K_V1 of torchvision 0.28's models/vgg.py.
        ("vgg11", "vgg11-8a719046.pth", 69.020),
        ("vgg13", "vgg13-19584684.pth", 69.928),
        ("vgg16", "vgg16-397923af.pth", 71.592),
        ("vgg19", "vgg19-dcbb9e9d.pth", 72.376),
        ("vgg11_bn", "vgg11_bn-6002323d.pth", 70.370),
        ("vgg13_bn", "vgg13_bn-abd245e5.pth", 71.586),
        ("vgg16_bn", "vgg16_bn-6c64b313.pth", 73.360),
        ("vgg19_bn", "vgg19_bn-c79401a0.pth", 74.218),
        # EfficientNet: IMAGENET1K_V1 of torchvision 0.28's models/efficientnet.py.
        ("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 77.692),
        ("efficientnet_b1", "efficientnet_b1_rwightman-bac287d4.pth", 78.642),
        ("efficientnet_b2", "efficientnet_b2_rwightman-c35c1473.pth", 80.608),
        ("efficientnet_b3", "efficientnet_b3_rwightman-b3899882.pth", 82.008),
        ("efficientnet_b4", "efficientnet_b4_rwightman-23ab8bcd.pth", 83.384),
        ("efficientnet_b5", "efficientnet_b5_lukemelas-1a07897c.pth", 83.444),
        ("efficientnet_b6", "efficientnet_b6_lukemelas-24a108a5.pth", 84.008),
        ("efficientnet_b7", "efficientnet_b7_lukemelas-c5b4e57e.pth", 84.122),
    ),
    *_entries(
        TIMM,
        IMAGENET,
        # EfficientNet with TensorFlow's padding: the `aa_in1k` (AutoAugment) rows of timm 1.0's
        # models/efficientnet.py; top-1 from its results/results-imagenet.csv at commit 0173a139.
        ("tf_efficientnet_b0", "tf_efficientnet_b0_aa-827b6e33.pth", 76.834),
        ("tf_efficientnet_b1", "tf_efficientnet_b1_aa-ea7a6ee0.pth", 78.830),
        ("tf_efficientnet_b2", "tf_efficientnet_b2_aa-60c94f97.pth", 80.084),
        ("tf_efficientnet_b3", "tf_efficientnet_b3_aa-84b4657e.pth", 81.644),
        ("tf_efficientnet_b4", "tf_efficientnet_b4_aa-818f208c.pth", 83.018),
        ("tf_efficientnet_b5", "tf_efficientnet_b5_aa-99018a74.pth", 83.688),
        ("tf_efficientnet_b6", "tf_efficientnet_b6_aa-80ba17e4.pth", 84.116),
        ("tf_efficientnet_b7", "tf_efficientnet_b7_aa-076e3472.pth", 84.414),
        # EfficientNet-Lite: timm's `tf_efficientnet_lite*.in1k`, figures as above.
        ("efficientnet_lite0", "tf_efficientnet_lite0-0aa007d2.pth", 74.830),
        ("efficientnet_lite1", "tf_efficientnet_lite1-bde8b488.pth", 76.644),
        ("efficientnet_lite2", "tf_efficientnet_lite2-dcccb7df.pth", 77.464),
        ("efficientnet_lite3", "tf_efficientnet_lite3-b733e338.pth", 79.808),
        ("efficientnet_lite4", "tf_efficientnet_lite4-741542c3.pth", 81.532),
    ),
    *_entries(
        TORCHVISION,
        COCO,
        # RetinaNet and Faster R-CNN: COCO_V1 of torchvision 0.28's models/detection, `box_map`.
        ("retinanet_resnet50_fpn", "retinanet_resnet50_fpn_coco-eeacb38b.pth", 36.4),
        ("retinanet_resnet50_fpn_v2", "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth", 41.5),
        ("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 37.0),
    ),
    *_entries(
        EFFDET,
        COCO,
        # EfficientDet: effdet 0.4.1's config/model_config.py; AP from its README, the column
        # "mAP (val2017)". The first group is converted from Google's, the second trained by effdet,
        # which has published no d2 to d5 of its own.
        ("tf_efficientdet_d0", "tf_efficientdet_d0_34-f153e0cf.pth", 34.2),
        ("tf_efficientdet_d1", "tf_efficientdet_d1_40-a30f94af.pth", 40.1),
        ("tf_efficientdet_d2", "tf_efficientdet_d2_43-8107aa99.pth", 43.4),
        ("tf_efficientdet_d3", "tf_efficientdet_d3_47-0b525f35.pth", 47.1),
        ("tf_efficientdet_d4", "tf_efficientdet_d4_49-f56376d9.pth", 49.2),
        ("tf_efficientdet_d5", "tf_efficientdet_d5_51-c79f9be6.pth", 51.2),
        ("tf_efficientdet_d6", "tf_efficientdet_d6_52-4eda3773.pth", 52.0),
        ("tf_efficientdet_d7", "tf_efficientdet_d7_53-6d1d7a95.pth", 53.1),
        ("tf_efficientdet_d7x", "tf_efficientdet_d7x-f390b87c.pth", 54.3),
        ("efficientdet_d0", "efficientdet_d0-f3276ba8.pth", 33.6),
        ("efficientdet_d1", "efficientdet_d1-bb7e98fe.pth", 39.4),
        # EfficientDet-Lite: the same sources.
        ("efficientdet_lite0", "tf_efficientdet_lite0-dfacfc78.pth", 27.1),
        ("efficientdet_lite1", "tf_efficientdet_lite1-6dc7ab30.pth", 32.2),
        ("efficientdet_lite2", "tf_efficientdet_lite2-86c5d55b.pth", 35.9),
        ("efficientdet_lite3", "tf_efficientdet_lite3-506852cb.pth", 39.6),
        ("efficientdet_lite3x", "tf_efficientdet_lite3x-8404c57b.pth", 43.6),
        ("efficientdet_lite4", "tf_efficientdet_lite4-391ddabc.pth", 44.2),
    ),
)

ZOO: dict[str, ZooEntry] = {entry.variant: entry for entry in ENTRIES}


def find(name: str) -> ZooEntry:
    """The row of ``name``; ZooError, with the names most like it, where there is none."""
    if name in ZOO:
        return ZOO[name]
    close = get_close_matches(name, ZOO)
    hint = f"did you mean {' or '.join(close)}?" if close else "`python -m models.zoo list` has all"
    raise ZooError(f"no public checkpoint is named {name!r}; {hint}")
