"""Networks that find boxes otherwise, with the weights of another."""

import torch

from models.anchors import fpn_anchors, retinanet_anchors
from models.rpn import ProposalSettings
from models.sharing import proposing, reanchored
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
