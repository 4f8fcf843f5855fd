"""Checkpoints: weights and what is known of them, out of whatever a trainer wrote.

One of ours is what `save_checkpoint` writes. A foreign one holds a state dict or a whole network,
bare or in a trainer's file; `models.weights` fits its tensors into our networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoint_file import CheckpointError, read_content
from models.inert_pickle import StandIn
from models.stated import Stated, stated_in

StateDict = dict[str, Tensor]
FORMAT = "boxport-checkpoint-1"

# Where trainers' files keep their weights, the averaged ones (EMA) first.
WRAPPERS = (
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
    "params_ema",
    "ema",
    "ema_model",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "model_weights",
    "weights",
    "params",
    "module",
)
# What holds a network gives its tensors' names: weight averaging, DistributedDataParallel,
# torch.compile, Lightning's modules, effdet's training bench, transformers around timm.
AVERAGED = ("ema_model.", "model_ema.", "ema.")
PREFIXES = (*AVERAGED, "module.", "model.", "_orig_mod.", "net.", "network.", "timm_model.")
# Bookkeeping that no network reads: of weight averages, of effdet's training bench.
BOOKKEEPING = ("n_averaged", "anchors.boxes", "anchor_labeler.anchors.boxes")
LAID_OUT = "anchors.boxes"
SHOWN = 5


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the architecture and labels where they are known.

    labels: (id, name) of each class in the order of the network's outputs, where the file says.
    ignored: names of tensors beside the network's, such as a loss's class weights.
    stated: what the file states beside them, see `models.stated`.
    laid_out: effdet's own anchors [A, 4] as top, left, bottom, right, where the file has them.
    """

    state: StateDict
    architecture: str | None = None
    labels: tuple[tuple[int, str], ...] | None = None
    ignored: tuple[str, ...] = ()
    stated: Mapping[str, Stated] = field(default_factory=dict)
    laid_out: Tensor | None = None


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` so that an interruption leaves the previous file whole."""
    aside = path.with_suffix(".partial")
    content = {
        "state": checkpoint.state,
        "architecture": checkpoint.architecture,
        "labels": checkpoint.labels,
        "settings": {name: stated.value for name, stated in checkpoint.stated.items()},
    }
    torch.save({"format": FORMAT, **content}, aside)
    aside.replace(path)


def load_checkpoint(path: Path, architecture: str | None = None) -> Checkpoint:
    """Read a checkpoint of ours, or a foreign one under its own names.

    architecture: what one that states its own must be of.

    Foreign files are safetensors, TorchScript or what torch.save wrote: a state dict or a whole
    network, or a mapping that holds one. Nothing in them is executed. Raises CheckpointError for a
    file that is missing, damaged, without weights or of another architecture.
    """
    content = read_content(path)
    if isinstance(content, Mapping) and content.get("format") == FORMAT:
        checkpoint = _own_checkpoint(content, path)
        if architecture is not None and checkpoint.architecture not in (None, architecture):
            raise CheckpointError(f"{path} is of {checkpoint.architecture}, not {architecture}")
        return checkpoint
    found = _unwrap(content)
    state = _without_prefixes(found)
    if not state:
        raise CheckpointError(f"{path}: holds no weights: {_described(content)}")
    kept = {id(tensor) for tensor in state.values()}
    beside = (key for key, tensor in found.items() if id(tensor) not in kept)
    stated, labels = stated_in(content, path)
    return Checkpoint(
        state,
        labels=labels,
        ignored=tuple(key for key in beside if not key.endswith(BOOKKEEPING)),
        stated=stated,
        laid_out=next((t for key, t in found.items() if key.endswith(LAID_OUT)), None),
    )


def _own_checkpoint(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """What `save_checkpoint` wrote."""
    try:
        labels = content["labels"]
        settings = content.get("settings", {})  # which older files do not have
        return Checkpoint(
            content["state"],
            content["architecture"],
            None if labels is None else tuple((int(i), str(name)) for i, name in labels),
            stated={name: Stated(value, "its training") for name, value in settings.items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: is an incomplete {FORMAT} ({error})") from error


def _unwrap(content: object) -> StateDict:
    """The state dict in ``content``, of averaged weights if it holds both kinds; or empty."""
    if isinstance(content, StandIn):
        return dict(content.tensors()) if content.is_module else _unwrap(content.items)
    if not isinstance(content, Mapping):
        return {}
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        return dict(content)
    inner = (_unwrap(content[wrapper]) for wrapper in WRAPPERS if wrapper in content)
    return next(filter(None, inner), {})


def _without_prefixes(state: StateDict) -> StateDict:
    """``state`` without what a wrapper put before the network's keys, and without what lies beside
    the network: bookkeeping, a loss's weights, and where they are averaged those that are not."""
    state = {key: tensor for key, tensor in state.items() if key not in BOOKKEEPING}
    for prefix in PREFIXES:
        held = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        beside = [k for k in state if not k.startswith(prefix)]
        if prefix in AVERAGED:
            beside = [k for k in beside if k.partition(".")[2] not in held]
        if len(held) > len(beside):
            return _without_prefixes(held)
    return state


def _described(content: object) -> str:
    """What a file without weights holds instead, and where they are looked for."""
    if isinstance(content, StandIn):
        return f"it is a pickled {type(content).origin}; save its state_dict()"
    if not isinstance(content, Mapping):
        return f"it is a {type(content).__name__}; save the network's state_dict()"
    keys = [repr(key) for key in content]
    more = ", …" if len(keys) > SHOWN else ""
    return (
        f"its keys are {', '.join(keys[:SHOWN]) or 'none'}{more}, and a state dict (a mapping from"
        f" names to tensors) is looked for bare or under {', '.join(WRAPPERS)}"
    )
