"""Optimizers, and which parameters get which settings."""

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
