"""Optimizers, which parameters get which settings, and the moving average of the weights."""

import copy
from collections.abc import Iterator

import torch
from torch import nn
from torch.optim import Optimizer

from models.training.recipe import Recipe

BACKBONE = "backbone."


def build_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer over what is not frozen."""
    groups = list(parameter_groups(network, recipe))
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.peak_rate)
    return torch.optim.SGD(
        groups, lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=recipe.nesterov
    )


def parameter_groups(network: nn.Module, recipe: Recipe) -> Iterator[dict]:
    """Weights decay; norms and biases, which have one dimension, do not. The backbone has a rate of
    its own."""
    for of_backbone in (False, True):
        rate = recipe.peak_rate * (recipe.backbone_rate if of_backbone else 1.0)
        members = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and name.startswith(BACKBONE) == of_backbone
        ]
        for decays in (True, False):
            chosen = [p for p in members if (p.ndim > 1) == decays]
            if chosen:
                decay = recipe.weight_decay if decays else 0.0
                yield {"params": chosen, "lr": rate, "weight_decay": decay}


class WeightAverage:
    """Of ``network``, for evaluation and export. At each update:
    average <- decay x average + (1 - decay) x current.

    The decay grows from zero over the first updates, so that the average forgets its random start.
    Buffers that are floating point, such as batch norm statistics, are averaged too.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        current = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], 1 - decay)
            else:
                average.copy_(current[name])
