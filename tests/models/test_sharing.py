"""Networks that find boxes otherwise, with the weights of another."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models.anchors import fpn_anchors, retinanet_anchors
from models.rpn import ProposalSettings
from models.sharing import coded, proposing, reanchored, remembering, tempered
from tests.models.checkpoints import faster_rcnn, retinanet


@torch.inference_mode()
def test_other_anchors_share_the_weights() -> None:
    network = retinanet().eval()
    other = reanchored(network, retinanet_anchors(16))
    assert (network.anchors, other.anchors) == (retinanet().anchors, retinanet_anchors(16))
    assert all(a is b for a, b in zip(network.parameters(), other.parameters(), strict=True))


@torch.inference_mode()
def test_other_proposals_leave_the_first_network_alone() -> None:
    network, images = faster_rcnn().eval(), torch.rand(1, 3, 64, 64)
    before = network(images)[2]
    few = proposing(network, ProposalSettings(number=7))
    assert few(images)[2].shape[1] == 7
    torch.testing.assert_close(few(images)[2], before[:, :7])
    small = reanchored(network, fpn_anchors(16))
    assert not torch.equal(small(images)[2], before)
    torch.testing.assert_close(network(images)[2], before)
    assert all(a is b for a, b in zip(network.parameters(), small.parameters(), strict=True))


@torch.inference_mode()
@pytest.mark.parametrize("build", [retinanet, faster_rcnn], ids=["one stage", "two stages"])
def test_a_temperature_divides_the_logits_of_classes_alone(build: Callable[[], nn.Module]) -> None:
    network, images = build().eval(), torch.rand(1, 3, 64, 64)
    before = [values.clone() for values in network(images)]
    logits, *others = tempered(network, 2.5)(images)
    torch.testing.assert_close(logits, before[0] / 2.5)
    torch.testing.assert_close(others, before[1:])
    torch.testing.assert_close(list(network(images)), before)


@torch.inference_mode()
def test_another_box_coder_leaves_the_first_network_alone() -> None:
    network = faster_rcnn()
    assert coded(network, (1.0, 2.0)).box_coder.weights == (1.0, 2.0)
    assert network.box_coder.weights == (10.0, 5.0)


@pytest.mark.parametrize("make", [retinanet, faster_rcnn], ids=["one stage", "two stages"])
@torch.inference_mode()
def test_what_was_computed_is_remembered_by_copies_too(make: Callable[[], nn.Module]) -> None:
    network = make().eval()
    runs: list[str] = []
    for name, part in network.named_children():
        part.register_forward_pre_hook(lambda *_, name=name: runs.append(name))
    remembers = remembering(network)
    one, other = torch.rand(2, 1, 3, 64, 64)
    expected = [network(images) for images in (one, other)]
    runs.clear()
    for images, outputs in zip((one, other, one), (*expected, expected[0]), strict=True):
        for actual, output in zip(remembers(images), outputs, strict=True):
            torch.testing.assert_close(actual, output)
    assert runs.count("backbone") == 2
    anchors = retinanet_anchors(16) if make is retinanet else fpn_anchors(16)
    reanchored(remembers, anchors)(one)
    assert runs.count("backbone") == runs.count("pyramid") == 2
