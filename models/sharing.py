"""Copies of a network that share its weights and find boxes otherwise."""

import copy
from typing import Any

from torch import nn

from models.anchors import AnchorGenerator, AnchorSettings
from models.faster_rcnn import FasterRCNN
from models.rpn import ProposalSettings


def reanchored(network: nn.Module, anchors: AnchorSettings) -> nn.Module:
    """A detector with other anchors, as many at each cell as ``network`` has."""
    other = _shared(network)
    if isinstance(network, FasterRCNN):
        other.rpn.anchors = AnchorGenerator(anchors)
    else:
        other.anchors = anchors
    return other


def proposing(network: FasterRCNN, proposals: ProposalSettings) -> nn.Module:
    """A two-stage detector with other region proposals."""
    other = _shared(network)
    other.rpn.proposals = proposals
    return other


def _shared(network: nn.Module) -> Any:
    """A copy of ``network`` and of the part that proposes regions."""
    other: Any = copy.copy(network)
    other._modules = dict(network._modules)
    if isinstance(network, FasterRCNN):
        other.rpn = copy.copy(network.rpn)
    return other
