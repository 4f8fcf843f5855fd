"""Small networks, and the norm of a batch written out over its tensors."""

import torch
from torch import Tensor, nn

from models.variants import VARIANTS

State = dict[str, Tensor]


def build(name: str, classes: int) -> nn.Module:
    """A network of shapes only: its parameters take no memory and no time."""
    with torch.device("meta"):
        return VARIANTS[name].build(classes).eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def randomise(network: nn.Module) -> nn.Module:
    """Give the batch norms something to do; an untrained one does nothing."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def norm(x: Tensor, state: State, name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias
