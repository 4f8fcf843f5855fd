"""Checkpoints: reading them safely, whatever wraps them, and fitting them into our networks.

A checkpoint of ours is what `save_checkpoint` writes. A foreign one is a state dict, bare or in a
trainer's file; `models.key_maps` knows its family by its keys and gives them our names.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.key_maps import find_family

StateDict = dict[str, Tensor]
FORMAT = "boxport-checkpoint-1"
OURS = "Boxport"  # the family whose names are ours

# Where trainers' files keep their weights, the averaged ones (EMA) first.
WRAPPERS = ("model_ema", "state_dict_ema", "ema_state_dict", "state_dict", "model")
# What DistributedDataParallel, weight averaging and effdet's training bench put before a key.
PREFIXES = ("module.", "model.")
# Bookkeeping that no network reads: of weight averages, of effdet's training bench.
BOOKKEEPING = ("n_averaged", "anchors.boxes", "anchor_labeler.anchors.boxes")
# A batch norm's counter, absent where it was trained frozen; inference does not read it.
COUNTER = "num_batches_tracked"


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why and what to do."""


class MisfitError(CheckpointError):
    """A checkpoint of other tensors than the network's; the message lists some."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the architecture and labels where they are known.

    labels: (id, name) of each class in the order of the network's outputs, where the file says.
    """

    state: StateDict
    architecture: str | None = None
    labels: tuple[tuple[int, str], ...] | None = None


@dataclass(frozen=True)
class Recognised:
    """How a checkpoint was read: the family of its names, and how many tensors it filled.

    other_classes: whether it is of other classes, so that the class layer was left as it was.
    """

    family: str
    tensors: int
    other_classes: bool = False

    def __str__(self) -> str:
        kept = "; the class layer keeps its initial weights, since the classes differ"
        return f"{self.tensors} tensors of {self.family}{kept if self.other_classes else ''}"


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` so that an interruption leaves the previous file whole."""
    aside = path.with_suffix(".partial")
    torch.save({"format": FORMAT, **vars(checkpoint)}, aside)
    aside.replace(path)


def load_checkpoint(path: Path, architecture: str | None = None) -> Checkpoint:
    """Read a checkpoint of ours, or a foreign one under its own names.

    architecture: what one that states its own must be of.

    Foreign files are .safetensors, or what torch.save wrote: a state dict, or a mapping that holds
    one. Nothing in them is executed. Raises CheckpointError for a file that is missing, damaged,
    without weights or of another architecture.
    """
    content = _read(path)
    if isinstance(content, Mapping) and content.get("format") == FORMAT:
        checkpoint = _own_checkpoint(content, path)
        if architecture is not None and checkpoint.architecture not in (None, architecture):
            raise CheckpointError(f"{path} is of {checkpoint.architecture}, not {architecture}")
        return checkpoint
    state = _without_prefixes(_unwrap(content))
    if not state:
        raise CheckpointError(
            f"{path}: holds no state dict (a mapping from names to tensors), bare or under"
            f" {', '.join(WRAPPERS)}"
        )
    return Checkpoint(state)


def _own_checkpoint(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """What `save_checkpoint` wrote."""
    try:
        labels = content["labels"]
        return Checkpoint(
            content["state"],
            content["architecture"],
            None if labels is None else tuple((int(i), str(name)) for i, name in labels),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: is an incomplete {FORMAT} ({error})") from error


def load_into(network: nn.Module, state: StateDict, source: str) -> Recognised:
    """Copy ``state`` into ``network``, every tensor of both, or raise CheckpointError.

    ``source`` names the checkpoint in the message.
    """
    return _fill(network, *_rename(network, state), source)


def load_start(network: nn.Module, state: StateDict, source: str) -> Recognised:
    """`load_into` for training on: where ``state`` is of other classes, ``network`` keeps its own
    class layer."""
    renamed, family = _rename(network, state)
    own = {k: v for k, v in network.state_dict().items() if k.startswith(f"{network.class_layer}.")}
    weight = f"{network.class_layer}.weight"
    if weight not in renamed or renamed[weight].shape == own[weight].shape:
        return _fill(network, renamed, family, source)
    recognised = _fill(network, renamed | own, family, source)
    return Recognised(family, recognised.tensors - len(own), other_classes=True)


def _fill(network: nn.Module, renamed: StateDict, family: str, source: str) -> Recognised:
    """`load_into` for a state that has our names already."""
    expected = network.state_dict()
    _check_classes(network, renamed, expected, source)
    problems = [
        *_listing("missing", [k for k in expected if k not in renamed and not _is_counter(k)]),
        *_listing("unexpected", [k for k in renamed if k not in expected and not _is_counter(k)]),
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
        read_as = f", read as {family}," if family != OURS else ""
        raise MisfitError(
            f"{source}{read_as} does not fit {type(network).__name__}: {'; '.join(problems)}"
        )
    network.load_state_dict({k: v for k, v in renamed.items() if k in expected}, strict=False)
    return Recognised(family, len(renamed))


def load_backbone(detector: nn.Module, state: StateDict, source: str) -> Recognised:
    """Start a detector's backbone from a classifier's weights; its other tensors are left out."""
    prefix = "backbone."
    renamed, family = _rename(detector, state)
    backbone = {k.removeprefix(prefix): v for k, v in renamed.items() if k.startswith(prefix)}
    return _fill(detector.get_submodule("backbone"), backbone, family, source)


def count_classes(network: nn.Module, state: StateDict) -> int | None:
    """How many classes ``state`` has if it is of an architecture like ``network``, built for one
    class; None if it has no such layer."""
    weight = _rename(network, state)[0].get(f"{network.class_layer}.weight")
    return None if weight is None else _classes(network, weight)


def _read(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # torchvision's training scripts store their arguments, which are plain values
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except Exception as error:  # PyTorch's readers raise whatever damaged bytes lead them to
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: not a readable PyTorch checkpoint ({reason}); is it complete?"
        ) from error


def _unwrap(content: object) -> StateDict:
    """The state dict in ``content``, of averaged weights if it holds both kinds; or empty."""
    if not isinstance(content, Mapping):
        return {}
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        return dict(content)
    inner = (_unwrap(content[wrapper]) for wrapper in WRAPPERS if wrapper in content)
    return next(filter(None, inner), {})


def _without_prefixes(state: StateDict) -> StateDict:
    """``state`` without what a wrapper put before every key, and without its bookkeeping."""
    state = {key: tensor for key, tensor in state.items() if key not in BOOKKEEPING}
    for prefix in PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            return _without_prefixes({k.removeprefix(prefix): v for k, v in state.items()})
    return state


def _rename(network: nn.Module, state: StateDict) -> tuple[StateDict, str]:
    """``state`` under our names, whatever its family, and what that is called."""
    family = find_family(list(state))
    if family is None:
        return state, OURS
    return {family.rename(network, key): tensor for key, tensor in state.items()}, family.name


def _is_counter(key: str) -> bool:
    return key.endswith(COUNTER)


def _classes(network: nn.Module, weight: Tensor) -> int:
    """Classes that a class layer's ``weight`` stands for; a one-stage detector has a row for each
    anchor and class, a two-stage one an extra row for the background."""
    anchors = getattr(network, "anchors", None)
    per_class = anchors.per_cell if anchors is not None else 1
    return weight.shape[0] // per_class - getattr(network, "background_classes", 0)


def _check_classes(network: nn.Module, state: StateDict, expected: StateDict, source: str) -> None:
    """Say how many classes a checkpoint has if that is what does not fit."""
    key = f"{getattr(network, 'class_layer', None)}.weight"
    if key not in state or key not in expected:
        return
    has, wanted = (_classes(network, tensor) for tensor in (state[key], expected[key]))
    fits = state[key].shape[1:] == expected[key].shape[1:]
    if fits and has != wanted:
        raise CheckpointError(
            f"{source} was trained on {has} classes, not {wanted}: name all {has} of them, in the"
            " order of the network's outputs (--labels FILE, or a known set such as coco91)"
        )


def _listing(kind: str, keys: list[str], shown: int = 3) -> list[str]:
    """A clause such as "2 missing (a, b)", or nothing."""
    if not keys:
        return []
    more = ", …" if len(keys) > shown else ""
    return [f"{len(keys)} {kind} ({', '.join(keys[:shown])}{more})"]
