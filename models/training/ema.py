"""An exponential moving average of a network's weights, used for evaluation and export."""

import copy

import torch
from torch import nn


class WeightAverage:
    """Follows ``network``: average <- decay x average + (1 - decay) x current, at each update.

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
