"""Hugging Face transformers' ResNet: stages and layers are numbered from 0, and of a layer's parts
the first convolution has the number 0."""

import re

from models.key_maps.key_map import KeyMap

LAYER = r"^resnet\.encoder\.stages\.(\d)\.layers\.(\d+)\."


def _part(kind: str) -> str:
    return "conv" if kind == "convolution" else "bn"


def _numbered(match: re.Match[str]) -> str:
    stage, layer, part, kind = match.groups()
    return f"backbone.layer{int(stage) + 1}.{layer}.{_part(kind)}{int(part) + 1}."


def _shortcut(match: re.Match[str]) -> str:
    stage, layer, kind = match.groups()
    part = 0 if kind == "convolution" else 1
    return f"backbone.layer{int(stage) + 1}.{layer}.downsample.{part}."


KEYS = KeyMap(
    name="transformers ResNet",
    mark="resnet.embedder.embedder.convolution.weight",
    rules=(
        (
            r"^resnet\.embedder\.embedder\.(\w+)\.",
            lambda match: f"backbone.{_part(match[1])}1.",
        ),
        (LAYER + r"layer\.(\d)\.(convolution|normalization)\.", _numbered),
        (LAYER + r"shortcut\.(convolution|normalization)\.", _shortcut),
        (r"^classifier\.1\.", "classifier."),
    ),
)
