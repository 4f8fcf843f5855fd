"""Every family of networks in every precision: a package that verifies, or one line that says why
there is none."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from export.errors import ExportError
from export.exporter import ExportJob, export
from export.precision.calibration import Calibration
from export.precision.conversion import ConversionJob, convert
from export.settings import Settings
from export.verify import verify
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.detector import OneStageDetector
from models.efficientnet import SqueezeExcite
from models.variants import at_size, find_variant
from models.weights import load_into
from service.manifest import ModelManifest, Precision
from service.package import PackageError
from tests.export.conftest import (
    LABELS,
    make_detector,
    make_faster_rcnn,
    make_retinanet,
    measure_norms,
    read_images,
    spread_classes,
    spread_outputs,
)
from tests.fidelity.measure import pair
from tests.fidelity.report import keep_precisions

MINMAX = Calibration("minmax")
HALF_AND_INT8: tuple[Precision, ...] = ("fp16", "int8")


@dataclass(frozen=True)
class Network:
    """An architecture, the side of its input in pixels, and a classifier's activation.

    calibration: how ranges are found; None tries every way, as `convert` does by default, which
        takes minutes of a large network. proposals: of a two-stage detector, fewer than its own
        thousand, which nearly all of its time goes to. may_refuse: what untrained weights may not
        bear.
    """

    name: str
    size: int
    multi_label: bool = False
    calibration: Calibration | None = MINMAX
    proposals: int | None = None
    may_refuse: tuple[Precision, ...] = ("int8",)


NETWORKS = {
    "resnet18, softmax": Network("resnet18", 96, calibration=None),
    "resnet18, sigmoid": Network("resnet18", 96, multi_label=True),
    "resnet18+bilinear, softmax": Network("resnet18+bilinear", 96),
    "resnet18+bilinear, sigmoid": Network("resnet18+bilinear", 96, multi_label=True),
    "resnet50, softmax": Network("resnet50", 96),
    "vgg11, softmax": Network("vgg11", 224),
    "vgg11_bn+bilinear, sigmoid": Network("vgg11_bn+bilinear", 96, multi_label=True),
    "efficientnet_b0, softmax": Network("efficientnet_b0", 96),
    "efficientnet_b0+bilinear, sigmoid": Network(
        "efficientnet_b0+bilinear", 96, multi_label=True, may_refuse=HALF_AND_INT8
    ),
    "tf_efficientnet_b0, softmax": Network("tf_efficientnet_b0", 96),
    "efficientnet_lite0, softmax": Network("efficientnet_lite0", 96),
    "efficientnet_lite0+bilinear, sigmoid": Network(
        "efficientnet_lite0+bilinear", 96, multi_label=True
    ),
    "efficientdet_d0": Network("efficientdet_d0", 128),
    "tf_efficientdet_d0": Network("tf_efficientdet_d0", 128),
    "efficientdet_lite0": Network("efficientdet_lite0", 128),
    "efficientdet_lite0+groupnorm": Network(
        "efficientdet_lite0+groupnorm", 128, may_refuse=HALF_AND_INT8
    ),
    "retinanet_lite0": Network("retinanet_lite0", 128),
    "retinanet_resnet18_fpn, varying input": Network(
        "retinanet_resnet18_fpn", 96, calibration=None
    ),
    "retinanet_resnet50_fpn_v2, varying input": Network("retinanet_resnet50_fpn_v2", 96),
    "fasterrcnn_resnet50_fpn, two stages, varying input": Network(
        "fasterrcnn_resnet50_fpn",
        96,
        proposals=100,
        # near-equal scores decide which regions are looked at: to round each convolution's output
        # of the float32 graph to 16 bits, and nothing else, moves more than a hundredth already
        may_refuse=HALF_AND_INT8,
    ),
}
NO_BFLOAT16 = "no package in bf16: ONNX Runtime's CPUExecutionProvider"


def seeded(network: Network, imagenet_weights: Path, photos: Path, few: Path) -> nn.Module:
    """The network with weights that tell ``photos`` apart, or of a detector the places in ``few``
    of them."""
    base = network.name.partition("+")[0]
    variant = at_size(find_variant(network.name), network.size)
    if base == "retinanet_lite0":
        return make_detector(base, imagenet_weights, few, size=network.size)
    if base.startswith("retinanet"):
        return make_retinanet(variant, few)
    if base.startswith("fasterrcnn"):
        return make_faster_rcnn(variant, few)
    torch.manual_seed(0)
    built = variant.build(len(LABELS)).eval()
    take_alike(built, pair(base, network.size)[0])
    with torch.no_grad():
        images = read_images(variant, few if variant.task == "detection" else photos)
        if "efficient" in base:  # random, their many thin layers make noise of rounding errors
            trained = find_variant("efficientnet_lite0").build(1000)
            load_into(trained, load_checkpoint(imagenet_weights).state, str(imagenet_weights))
            take_alike(built, trained)
            for layer in built.modules():
                if isinstance(layer, SqueezeExcite):  # which Lite has not
                    layer.expand.bias.fill_(4)  # of a sigmoid: most of a channel stays
                elif isinstance(layer, nn.BatchNorm2d):  # else of a dead channel a loud one
                    layer.running_var += trained.backbone.stem.norm.eps - layer.eps
        else:
            measure_norms(built, images)  # else many layers give all photos the same features
        if isinstance(built, OneStageDetector):
            spread_outputs(built, built.backbone(images))
        else:
            spread_classes(built, images)
    return built


def take_alike(network: nn.Module, other: nn.Module) -> None:
    """Give ``network`` the tensors of ``other`` that have a name and a shape of its own."""
    own, found = network.state_dict(), other.state_dict()
    alike = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(own | alike)


@pytest.fixture(scope="module")
def few(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As few photos as 8 bits can be calibrated on."""
    folder = tmp_path_factory.mktemp("few")
    for name in ("astronaut", "cat", "coffee", "rocket"):
        shutil.copy(photos / f"{name}.jpg", folder)
    return folder


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_network_in_every_precision(
    name: str, imagenet_weights: Path, photos: Path, few: Path, tmp_path: Path
) -> None:
    network = NETWORKS[name]
    built = seeded(network, imagenet_weights, photos, few)
    weights = tmp_path / "seeded.pth"
    save_checkpoint(Checkpoint(built.state_dict(), network.name, LABELS), weights)
    source = tmp_path / "store" / "fp32" / "1"

    def make(precision: Precision) -> ModelManifest:
        output = source.parent.parent / precision / "1"
        if precision == "fp32":
            job = ExportJob(
                network.name,
                weights,
                output,
                few,
                "none",
                settings=Settings(
                    input_size=network.size,
                    activation="sigmoid" if network.multi_label else None,
                    proposals=network.proposals,
                ),
            )
            return export(job)
        return convert(
            ConversionJob(source, precision, output, few, network.calibration, search=False)
        )

    outcomes = {}
    for precision in get_args(Precision):
        outcomes[precision] = outcome_of(lambda p=precision: make(p))
        package = source.parent.parent / precision / "1"
        if package.exists():
            assert [c for c in verify(package, few) if c.passed is False] == []
    keep_precisions(name, [outcomes[p] for p in ("fp32", "fp16", "int8", "bf16")])
    refused = {p: outcome for p, outcome in outcomes.items() if outcome.startswith("refused")}
    assert refused.keys() - set(network.may_refuse) == {"bf16"}, refused
    assert NO_BFLOAT16 in refused["bf16"]


def outcome_of(make: Callable[[], ModelManifest]) -> str:
    """What a package's parity was, or the line that refused it."""
    try:
        parity = make().parity
    except (ExportError, PackageError) as error:
        line = str(error)
        assert line
        assert "\n" not in line
        return f"refused: {line}"
    boxes = f", boxes within {parity.max_box_difference_px:.2g} px" if parity.min_iou else ""
    share = f"{100 * parity.agreeing:.4g} % agree"
    return f"{share}, scores within {parity.max_score_difference:.1g}{boxes}"
