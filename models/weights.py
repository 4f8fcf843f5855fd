"""Weights fitted into our networks, whatever names their publisher gave them.

`models.key_maps` knows a family of checkpoints by its keys and gives them our names.
"""

from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.checkpoint_file import CheckpointError
from models.checkpoints import StateDict
from models.detector import OneStageDetector
from models.key_maps import find_family

OURS = "Boxport"  # the family whose names are ours

# A batch norm's counter, absent where it was trained frozen; inference does not read it.
COUNTER = "num_batches_tracked"
SNAKE = "snake."  # of a detector that finds outlines
PROPOSALS = "rpn.head.deltas.weight"  # of a two-stage detector, one for each anchor


class MisfitError(CheckpointError):
    """A checkpoint of other tensors than the network's; the message lists some."""


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


def load_into(network: nn.Module, state: StateDict, source: str) -> Recognised:
    """Copy ``state`` into ``network``, every tensor of both, or raise CheckpointError.

    ``source`` names the checkpoint in the message.
    """
    return _fill(network, *_rename(network, state), source)


def load_start(network: nn.Module, state: StateDict, source: str) -> Recognised:
    """`load_into` for training on: where ``state`` is of other classes, ``network`` keeps its own
    class layer, and where it has no snake, its own snake."""
    renamed, family = _rename(network, state)
    if not any(key.startswith(SNAKE) for key in renamed):
        added = {k: v for k, v in network.state_dict().items() if k.startswith(SNAKE)}
        recognised = _start(network, renamed | added, family, source)
        return replace(recognised, tensors=recognised.tensors - len(added))
    return _start(network, renamed, family, source)


def _start(network: nn.Module, renamed: StateDict, family: str, source: str) -> Recognised:
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
    for key, tensor in renamed.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{source}: {key} has values that are not numbers or infinite; the training"
                " diverged, so take an earlier checkpoint"
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


def _rename(network: nn.Module, state: StateDict) -> tuple[StateDict, str]:
    """``state`` under our names, whatever its family, and what that is called."""
    family = find_family(list(state))
    if family is None:
        return state, OURS
    names = {key: family.rename(network, key) for key in state}
    for name, count in Counter(names.values()).items():
        if count > 1:
            theirs = [key for key, ours in names.items() if ours == name]
            raise CheckpointError(
                f"{', '.join(theirs)} all stand where {family.name} has one layer; a head of"
                " several layers cannot be read"
            )
    return {names[key]: tensor for key, tensor in state.items()}, family.name


def _is_counter(key: str) -> bool:
    return key.endswith(COUNTER)


def _classes(network: nn.Module, weight: Tensor) -> int:
    """Classes that a class layer's ``weight`` stands for; a one-stage detector has a row for each
    anchor and class, a two-stage one an extra row for the background."""
    per_class = network.anchors.per_cell if isinstance(network, OneStageDetector) else 1
    return weight.shape[0] // per_class - getattr(network, "background_classes", 0)


def _check_classes(network: nn.Module, state: StateDict, expected: StateDict, source: str) -> None:
    """Say how many classes a checkpoint has if that is what does not fit."""
    key = f"{getattr(network, 'class_layer', None)}.weight"
    if key not in state or key not in expected:
        return
    for boxes in (key.replace("class_head", "box_head"), PROPOSALS):
        if boxes != key and boxes in state and len(state[boxes]) != len(expected.get(boxes, ())):
            raise CheckpointError(
                f"{source} has {len(state[boxes]) // 4} anchors at each cell, not"
                f" {len(expected.get(boxes, ())) // 4}: it is of another architecture, or of"
                " anchors of its own (--anchor-sizes, --aspect-ratios)"
            )
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
