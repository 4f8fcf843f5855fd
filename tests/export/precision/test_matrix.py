"""Every family of networks in every precision: a package that verifies, or one line that says why
there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from export.errors import ExportError
from export.exporter import ExportJob, export
from export.precision.conversion import ConversionJob, convert
from export.verify import verify
from models.checkpoints import Checkpoint, save_checkpoint
from models.detector import OneStageDetector
from models.variants import at_size, find_variant
from service.manifest import ModelManifest, Precision
from tests.export.conftest import LABELS, make_detector, read_images, rescale, spread_outputs
from tests.fidelity.measure import pair
from tests.fidelity.oracles import num_classes
from tests.fidelity.report import keep_precisions

LOGIT_SPREAD = 3.0


@dataclass(frozen=True)
class Network:
    """An architecture, the side of its input in pixels, and a classifier's activation."""

    name: str
    size: int
    multi_label: bool = False


NETWORKS = {
    "resnet18, softmax": Network("resnet18", 96),
    "resnet18, sigmoid": Network("resnet18", 96, multi_label=True),
    "resnet18+bilinear, softmax": Network("resnet18+bilinear", 96),
    "resnet18+bilinear, sigmoid": Network("resnet18+bilinear", 96, multi_label=True),
    "resnet50, softmax": Network("resnet50", 96),
    "vgg11, softmax": Network("vgg11", 224),
    "vgg11_bn+bilinear, sigmoid": Network("vgg11_bn+bilinear", 96, multi_label=True),
    "efficientnet_b0, softmax": Network("efficientnet_b0", 96),
    "efficientnet_b0+bilinear, sigmoid": Network("efficientnet_b0+bilinear", 96, multi_label=True),
    "tf_efficientnet_b0, softmax": Network("tf_efficientnet_b0", 96),
    "efficientnet_lite0, softmax": Network("efficientnet_lite0", 96),
    "efficientnet_lite0+bilinear, sigmoid": Network(
        "efficientnet_lite0+bilinear", 96, multi_label=True
    ),
    "efficientdet_d0": Network("efficientdet_d0", 128),
    "tf_efficientdet_d0": Network("tf_efficientdet_d0", 128),
    "efficientdet_lite0": Network("efficientdet_lite0", 128),
    "efficientdet_lite0+groupnorm": Network("efficientdet_lite0+groupnorm", 128),
    "retinanet_lite0": Network("retinanet_lite0", 128),
    "retinanet_resnet18_fpn, varying input": Network("retinanet_resnet18_fpn", 96),
    "retinanet_resnet50_fpn_v2, varying input": Network("retinanet_resnet50_fpn_v2", 96),
    "fasterrcnn_resnet50_fpn, two stages, varying input": Network("fasterrcnn_resnet50_fpn", 96),
}
OURS = ("retinanet_lite0",)  # have no public implementation
NO_BFLOAT16 = "no package in bf16: ONNX Runtime's CPUExecutionProvider"


def seeded(network: Network, imagenet_weights: Path, photos: Path) -> tuple[nn.Module, int]:
    """The network with seeded weights that tell photos apart, and its number of classes."""
    base, _, change = network.name.partition("+")
    if base in OURS:
        return make_detector(base, imagenet_weights, photos), len(LABELS)
    classes = num_classes(base)
    plain, *_ = pair(base, network.size)
    if not change and not isinstance(plain, OneStageDetector):
        return plain, classes
    variant = at_size(find_variant(network.name), network.size)
    torch.manual_seed(0)
    built = variant.build(classes).eval()
    built.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        images = read_images(variant, photos)
        if isinstance(built, OneStageDetector):
            spread_outputs(built, built.backbone(images))
        else:
            logits = built(images)
            rescale(built.classifier, logits - logits.mean(dim=0), 0.0, LOGIT_SPREAD)
    return built, classes


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_network_in_every_precision(
    name: str, imagenet_weights: Path, photos: Path, tmp_path: Path
) -> None:
    network = NETWORKS[name]
    built, classes = seeded(network, imagenet_weights, photos)
    labels = tuple((number, f"class {number}") for number in range(classes))
    weights = tmp_path / "seeded.pth"
    save_checkpoint(Checkpoint(built.state_dict(), network.name, labels), weights)
    source = tmp_path / "store" / "fp32" / "1"

    def make(precision: Precision) -> ModelManifest:
        output = source.parent.parent / precision / "1"
        if precision == "fp32":
            job = ExportJob(
                network.name,
                weights,
                output,
                photos,
                "none",
                input_size=network.size,
                multi_label=network.multi_label,
            )
            return export(job)
        return convert(ConversionJob(source, precision, output, photos, search=False))

    outcomes = {}
    for precision in get_args(Precision):
        outcomes[precision] = outcome_of(lambda p=precision: make(p))
        package = source.parent.parent / precision / "1"
        if package.exists():
            assert [c for c in verify(package, photos) if c.passed is False] == []
    keep_precisions(name, [outcomes[p] for p in ("fp32", "fp16", "int8", "bf16")])
    for precision, outcome in outcomes.items():
        assert (NO_BFLOAT16 if precision == "bf16" else "agree") in outcome, precision


def outcome_of(make: Callable[[], ModelManifest]) -> str:
    """What a package's parity was, or the line that refused it."""
    try:
        parity = make().parity
    except ExportError as error:
        line = str(error)
        assert line
        assert "\n" not in line
        return f"refused: {line}"
    boxes = f", boxes within {parity.max_box_difference_px:.2g} px" if parity.min_iou else ""
    share = f"{100 * parity.agreeing:.4g} % agree"
    return f"{share}, scores within {parity.max_score_difference:.1g}{boxes}"
