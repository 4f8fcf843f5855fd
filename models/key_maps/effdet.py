"""effdet's EfficientDet, ported weights of automl's included.

A BiFPN cell's nodes are numbered in the order in which they are computed: P6 down to P3, then P4 up
to the top. Ours are numbered by level, in two lists. The first cell's projections of the backbone's
features lie in the nodes that read them; of a node's inputs 0, 1 and 2 are C3, C4 and C5.
"""

import re

from torch import nn

from models.key_maps.key_map import KeyMap
from models.key_maps.timm_efficientnet import BACKBONE_RULES

NODE = re.compile(r"^fpn\.cell\.(\d+)\.fnode\.(\d+)\.(.+)$")
PROJECTION = re.compile(r"^combine\.resample\.(\d)\.conv\.(.+)$")


def _by_level(network: nn.Module, key: str) -> str:
    match = NODE.match(key)
    cells = getattr(getattr(network, "pyramid", None), "cells", None)
    if match is None or cells is None:
        return key
    levels = len(cells[0].top_down) + 1
    cell, number, rest = int(match[1]), int(match[2]), match[3]
    goes_down = number < levels - 1
    projection = PROJECTION.match(rest)
    if projection is not None:
        # the node's level is that of the feature it projects
        kind, index = "down", int(projection[1])
        if not goes_down:
            kind, index = "up", index - 1
        return f"pyramid.cells.{cell}.{kind}_projections.{index}.{projection[2]}"
    node = f"top_down.{levels - 2 - number}" if goes_down else f"bottom_up.{number - (levels - 1)}"
    return f"pyramid.cells.{cell}.{node}.{rest}"


KEYS = KeyMap(
    name="effdet EfficientDet",
    mark="class_net.predict.conv_pw.weight",
    renumber=_by_level,
    rules=(
        *BACKBONE_RULES,
        (r"^fpn\.resample\.\d+\.conv\.conv\.", "pyramid.project_extra.conv."),
        (r"^fpn\.resample\.\d+\.conv\.bn\.", "pyramid.project_extra.norm."),
        (r"(_projections\.\d)\.bn\.", r"\1.norm."),
        (r"\.combine\.edge_weights$", ".fusion.weights"),
        (r"\.after_combine\.conv\.conv_dw\.", ".conv.depthwise."),
        (r"\.after_combine\.conv\.conv_pw\.", ".conv.pointwise."),
        (r"\.after_combine\.conv\.bn\.", ".norm."),
        (r"^class_net\.", "class_head."),
        (r"^box_net\.", "box_head."),
        (r"_head\.conv_rep\.(\d)\.", r"_head.convs.\1."),
        (r"_head\.bn_rep\.(\d)\.(\d)\.bn\.", r"_head.norms.\1.\2."),
        (r"(_head\..*)\.conv_dw\.", r"\1.depthwise."),
        (r"(_head\..*)\.conv_pw\.", r"\1.pointwise."),
    ),
)
