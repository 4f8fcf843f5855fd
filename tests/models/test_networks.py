"""The networks: their parts' sizes, their published weights, their data flow."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.bifpn import BiFPNCell, BiFPNSettings, Fusion
from models.checkpoint_file import CheckpointError
from models.checkpoints import load_checkpoint
from models.efficientnet import SCALINGS, EfficientNetBackbone
from models.fpn import FPN
from models.layers import pad_same
from models.variants import VARIANTS
from models.weights import load_backbone, load_into


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_efficientdet_lite0_has_the_published_number_of_parameters() -> None:
    detector = VARIANTS["efficientdet_lite0"].build(90)
    parts = (detector.backbone, detector.pyramid, detector.class_head, detector.box_head)
    assert [count(part) for part in parts] == [2_958_848, 196_224, 69_354, 19_044]
    assert count(detector) == 3_243_470


def test_efficientnet_lite0_takes_every_published_tensor(imagenet_weights: Path) -> None:
    network = VARIANTS["efficientnet_lite0"].build(1000)
    state = load_checkpoint(imagenet_weights).state
    load_into(network, state, "published")
    assert count(network) == 4_652_008
    assert len(network.state_dict()) == len(state)
    torch.testing.assert_close(
        network.backbone.stages[6][0].project.conv.weight, state["_blocks.15._project_conv.weight"]
    )


def test_weights_for_another_number_of_classes_are_refused(imagenet_weights: Path) -> None:
    network = VARIANTS["efficientnet_lite0"].build(10)
    with pytest.raises(CheckpointError, match="published was trained on 1000 classes, not 10"):
        load_into(network, load_checkpoint(imagenet_weights).state, "published")


@pytest.mark.parametrize("name", ["efficientdet_lite0", "retinanet_lite0"])
def test_a_detector_starts_from_a_classifiers_backbone(name: str, imagenet_weights: Path) -> None:
    detector = VARIANTS[name].build(20)
    state = load_checkpoint(imagenet_weights).state
    load_backbone(detector, state, "published")
    torch.testing.assert_close(detector.backbone.stem.conv.weight, state["_conv_stem.weight"])


@pytest.mark.parametrize("name", ["efficientdet_lite0", "retinanet_lite0"])
def test_detector_gives_a_row_for_each_anchor(name: str) -> None:
    detector = VARIANTS[name].build(20).eval()
    with torch.no_grad():
        logits, deltas = detector(torch.zeros(2, 3, 320, 320))
    assert logits.shape == (2, 19_206, 20)
    assert deltas.shape == (2, 19_206, 4)
    assert logits.sigmoid().mean().item() == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("stages", range(8))
def test_backbone_can_be_run_in_two_parts(stages: int) -> None:
    torch.manual_seed(0)
    backbone = EfficientNetBackbone(SCALINGS["efficientnet_lite0"]).eval()
    images = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        whole = backbone(images)
        parts = backbone.resume(backbone.run_first(images, stages), stages)
    assert [tuple(f.shape) for f in whole] == [(1, 40, 12, 12), (1, 112, 6, 6), (1, 320, 3, 3)]
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(6, 3, 2, (0, 1)), (5, 3, 2, (1, 1)), (6, 5, 2, (1, 2)), (7, 5, 2, (2, 2)), (4, 3, 1, (1, 1))],
)
def test_same_padding_puts_the_odd_pixel_last(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    padded = pad_same(torch.ones(1, 1, size, size), kernel, stride)
    before, after = expected
    torch.testing.assert_close(padded, F.pad(torch.ones(1, 1, size, size), (before, after) * 2))


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("sum", [1.0, 1.0, 1.0]),
        ("fast", [2 / 5.0001, 0.0, 3 / 5.0001]),
        ("softmax", (torch.tensor([2.0, -1.0, 3.0]).softmax(0)).tolist()),
    ],
)
def test_fusion_weighs_as_the_paper_says(kind: str, weights: list[float]) -> None:
    fusion = Fusion(kind, 3)
    if kind != "sum":
        with torch.no_grad():
            fusion.weights.copy_(torch.tensor([2.0, -1.0, 3.0]))
    features = list(torch.randn(3, 1, 2, 4, 4))
    expected = sum(w * f for w, f in zip(weights, features, strict=True))
    torch.testing.assert_close(fusion(features).detach(), expected)


def test_bifpn_cell_flows_as_drawn() -> None:
    """With nodes that only add, the cell is the sums of Figure 2d."""
    cell = BiFPNCell(BiFPNSettings(1, 1, "sum", nn.Identity, levels=3))
    for node in (*cell.top_down, *cell.bottom_up):
        node.conv, node.norm = nn.Identity(), nn.Identity()
    p3, p4, p5 = (
        torch.full((1, 1, size, size), value) for size, value in ((4, 1.0), (2, 10.0), (1, 100.0))
    )
    t4 = 10 + 100
    out3 = 1 + t4
    out4 = 10 + t4 + out3
    out5 = 100 + out4
    outputs = cell([p3, p4, p5])
    assert [out.unique().tolist() for out in outputs] == [[out3], [out4], [out5]]


def test_first_bifpn_cell_projects_a_level_for_each_of_its_readers() -> None:
    cell = BiFPNCell(BiFPNSettings(8, 1, "sum", nn.ReLU), backbone_channels=(3, 4, 5)).eval()
    assert len(cell.down_projections) == 3
    assert len(cell.up_projections) == 2
    sizes = (16, 8, 4, 2, 1)
    features = [torch.zeros(1, c, s, s) for c, s in zip((3, 4, 5, 8, 8), sizes, strict=True)]
    assert [tuple(f.shape) for f in cell(features)] == [(1, 8, s, s) for s in sizes]


def test_fpn_flows_as_drawn() -> None:
    fpn = FPN((1, 1, 1), 1)
    for conv in fpn.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.zeros_(conv.weight)
            conv.weight.data[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1.0
    features = [torch.full((1, 1, s, s), v) for s, v in ((8, 1.0), (4, 10.0), (2, -100.0))]
    p3, p4, p5, p6, p7 = fpn(features)
    assert [p.unique().item() for p in (p3, p4, p5)] == [-89, -90, -100]
    assert p6.item() == -100  # from C5
    assert p7.item() == 0  # ReLU before it


def test_every_variant_states_an_input_that_its_graph_can_read() -> None:
    for name, variant in VARIANTS.items():
        if variant.task == "detection":
            assert variant.input.height % 32 == variant.input.width % 32 == 0, name
        assert (variant.input.resize == "centre_crop") == (variant.task == "classification"), name
