"""What the class and box heads of every one-stage detector share.

A head turns each pyramid level [N, C, H_l, W_l] into predictions [N, H_l * W_l * anchors, values],
in the order of the anchors (`models.anchors.AnchorGenerator`), and all levels are concatenated,
finest first.
"""

import math

import torch
from torch import Tensor

# The foreground probability that every anchor starts with (arXiv 1708.02002, section 4.1): without
# it the background's sheer number makes the first steps of training diverge.
PRIOR = 0.01
PRIOR_BIAS = -math.log((1 - PRIOR) / PRIOR)


def flatten_level(x: Tensor, values: int) -> Tensor:
    """[N, anchors * values, H, W] -> [N, H * W * anchors, values]."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def join_levels(levels: list[Tensor], values: int) -> Tensor:
    """Raw outputs of all levels, finest first -> [N, A, values]."""
    return torch.cat([flatten_level(level, values) for level in levels], dim=1)
