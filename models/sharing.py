"""Copies of a network that share its weights and find boxes otherwise, or compute less; and one
whose scores have another temperature."""

import copy
import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.anchors import AnchorGenerator, AnchorSettings
from models.faster_rcnn import FasterRCNN
from models.rpn import ProposalSettings

BATCHES_KEPT, MOST_LEVELS = 2, 5  # of which what a part gave is remembered


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


def tempered(network: nn.Module, temperature: float) -> nn.Module:
    """A network whose logits of classes are divided by ``temperature`` ("On Calibration of Modern
    Neural Networks", arXiv 1706.04599), in the weights of the layer that they come from."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.get_submodule(other.class_layer).parameters():
            parameter.div_(temperature)
    return other


def coded(network: nn.Module, weights: tuple[float, float]) -> nn.Module:
    """A detector whose boxes are written with other weights, see `models.box_coder`."""
    other = _shared(network)
    other.box_coder = replace(other.box_coder, weights=weights)
    return other


class Remembered(nn.Module):
    """A part of a network that does not run again on what it has just been given."""

    def __init__(self, part: nn.Module, kept: int) -> None:
        """kept: how many answers at most."""
        super().__init__()
        self.part, self.kept = part, kept
        self._answers: OrderedDict[bytes, Any] = OrderedDict()

    def forward(self, inputs: Tensor | list[Tensor]) -> Any:
        digest = hashlib.blake2b()
        for tensor in [inputs] if isinstance(inputs, Tensor) else inputs:
            digest.update(f"{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().data)
        key = digest.digest()
        if key not in self._answers:
            self._answers[key] = self.part(inputs)
        self._answers.move_to_end(key)
        while len(self._answers) > self.kept:
            self._answers.popitem(last=False)
        return self._answers[key]


def remembering(network: nn.Module) -> nn.Module:
    """A copy of ``network`` whose parts, and those of its copies, remember what they gave."""
    other = _shared(network)
    parts = other._modules
    if isinstance(network, FasterRCNN):  # whose proposals are not of its pyramid alone
        head = Remembered(network.rpn.head, BATCHES_KEPT * MOST_LEVELS)
        other.rpn._modules = {**other.rpn._modules, "head": head}
        parts = {name: part for name, part in parts.items() if name != "rpn"}
    for name, part in parts.items():
        other._modules[name] = Remembered(part, BATCHES_KEPT)
    return other


def _shared(network: nn.Module) -> Any:
    """A copy of ``network`` and of the part that proposes regions."""
    other: Any = copy.copy(network)
    other._modules = dict(network._modules)
    if isinstance(network, FasterRCNN):
        other.rpn = copy.copy(network.rpn)
    return other
