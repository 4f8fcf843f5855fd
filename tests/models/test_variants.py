"""Networks by name, and the inputs that they read at other sizes."""

import pytest
import torch

from models import efficientdet, efficientnet, faster_rcnn, resnet, retinanet, variants, vgg
from models.bilinear import BilinearClassifier
from models.variants import VARIANTS, at_size, find_variant


def test_a_network_is_found_by_its_name() -> None:
    assert find_variant("resnet18") is VARIANTS["resnet18"]


def test_the_rows_are_those_of_the_networks() -> None:
    """Names stand here too, so that listing them does not import the networks."""
    assert list(variants.RESNETS) == list(resnet.SETTINGS)
    assert list(variants.VGGS) == list(vgg.DEPTHS)
    sizes = {**variants.EFFICIENTNET_SIZES, **variants.EFFICIENTNET_LITE_SIZES}
    assert list(sizes) == list(efficientnet.SCALINGS)
    assert list(variants.EFFICIENTDET_SIZES) == list(efficientdet.SETTINGS)
    assert list(variants.RETINANETS) == list(retinanet.SETTINGS)
    assert list(variants.FASTER_RCNNS) == list(faster_rcnn.SETTINGS)


@pytest.mark.parametrize(
    "name",
    ["", "resnet19", "resnet18+", "+bilinear", "resnet19+bilinear", "resnet18+bilinear+bilinear"],
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        find_variant(name)


def test_a_detector_has_no_bilinear_head() -> None:
    detectors = [name for name, variant in VARIANTS.items() if variant.task == "detection"]
    assert len(detectors) > 10
    for name in detectors:
        with pytest.raises(KeyError, match=r"\+bilinear"):
            find_variant(f"{name}+bilinear")


def test_a_bilinear_classifier_reads_what_its_backbone_reads() -> None:
    variant = find_variant("efficientnet_b1+bilinear")
    assert variant.task == "classification"
    assert variant.input == VARIANTS["efficientnet_b1"].input
    with torch.device("meta"):
        network = variant.build(12)
        plain = VARIANTS["efficientnet_b1"].build(12)
    assert isinstance(network, BilinearClassifier)
    assert network.classifier.out_features == 12
    assert network.backbone.state_dict().keys() == plain.backbone.state_dict().keys()


def test_every_classifier_builds_its_own_network() -> None:
    """Rows are made in loops; each must keep its own turn's settings."""
    with torch.device("meta"):
        built = {
            name: sum(p.numel() for p in VARIANTS[name].build(10).parameters())
            for name in ("resnet18", "resnet152", "vgg11", "vgg11_bn", "vgg19", "vgg19_bn")
        }
    assert len(set(built.values())) == len(built)


def test_a_letterbox_takes_another_size_and_keeps_the_rest() -> None:
    before = VARIANTS["efficientdet_lite0"].input
    after = at_size(VARIANTS["efficientdet_lite0"], 512).input
    assert (before.height, before.width) == (320, 320)
    assert (after.height, after.width) == (512, 512)
    assert (after.resize, after.fill, after.mean, after.std) == (
        "letterbox",
        before.fill,
        before.mean,
        before.std,
    )


@pytest.mark.parametrize(
    ("name", "size", "shorter_side"),
    [
        ("resnet18", 224, 256),
        ("resnet18", 112, 128),
        ("resnet18", 448, 512),
        ("resnet18", 100, 114),  # 114.3
        ("efficientnet_lite4", 190, 206),  # 206.5 goes to the even one
        ("tf_efficientnet_b5", 300, 321),  # 321.05
    ],
)
def test_a_centre_crop_keeps_its_share_of_the_photo(
    name: str, size: int, shorter_side: int
) -> None:
    spec = at_size(VARIANTS[name], size).input
    assert (spec.resize, spec.height, spec.width) == ("centre_crop", size, size)
    assert spec.shorter_side == shorter_side


@pytest.mark.parametrize(
    ("size", "longer_side", "longest"),
    [
        (800, 1333, 1344),
        (400, 666, 672),  # 666.5 goes to the even one
        (320, 533, 544),
        (96, 160, 160),
    ],
)
def test_a_varying_input_keeps_its_proportion_and_is_filled_to_a_multiple(
    size: int, longer_side: int, longest: int
) -> None:
    spec = at_size(VARIANTS["retinanet_resnet50_fpn"], size).input
    assert spec.resize == "shorter_side"
    assert spec.varies
    assert (spec.shorter_side, spec.longer_side, spec.divisor) == (size, longer_side, 32)
    assert (spec.height, spec.width) == (longest, longest)
    assert spec.fill == (124, 116, 104)


def test_another_size_changes_neither_the_task_nor_the_network_nor_the_row() -> None:
    row = VARIANTS["resnet18"]
    smaller = at_size(row, 64)
    assert (smaller.task, smaller.build) == (row.task, row.build)
    assert VARIANTS["resnet18"].input.height == 224


def test_only_inputs_by_their_shorter_side_vary() -> None:
    varying = {name for name, variant in VARIANTS.items() if variant.input.varies}
    assert varying == {
        "retinanet_resnet50_fpn",
        "retinanet_resnet50_fpn_from_imagenet",
        "retinanet_resnet18_fpn",
        "retinanet_resnet34_fpn",
        "retinanet_resnet101_fpn",
        "retinanet_resnet50_fpn_v2",
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_from_imagenet",
        "fasterrcnn_resnet50_fpn_roi_pool",
    }


@pytest.mark.parametrize(
    ("name", "fill", "mean"),
    [
        ("efficientdet_lite0", (128, 128, 128), (0.5, 0.5, 0.5)),
        ("tf_efficientdet_d0", (124, 116, 104), (0.485, 0.456, 0.406)),
        ("tf_efficientdet_d0_ap", (0, 0, 0), (0.5, 0.5, 0.5)),
        ("fasterrcnn_resnet50_fpn", (124, 116, 104), (0.485, 0.456, 0.406)),
    ],
)
def test_what_is_not_photo_has_the_colour_of_the_training(
    name: str, fill: tuple[int, ...], mean: tuple[float, ...]
) -> None:
    assert VARIANTS[name].input.fill == fill
    assert VARIANTS[name].input.mean == mean
