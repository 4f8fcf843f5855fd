"""Small networks, and their weights under our names and under those of others."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache, wraps

import torch
from torch import Tensor, nn

from models.faster_rcnn import FasterRCNN, FasterRCNNSettings
from models.resnet import SETTINGS as RESNETS
from models.resnet import ResNet
from models.retinanet import RetinaNet, RetinaNetSettings
from models.variants import find_variant

State = dict[str, Tensor]
Build = Callable[..., nn.Module]


def built_once(build: Build) -> Build:
    """Copies of what ``build`` gives: to copy millions of weights is quicker than to draw them."""
    built = cache(build)
    return wraps(build)(lambda *given, **named: deepcopy(built(*given, **named)))


@built_once
def resnet18(classes: int = 4) -> ResNet:
    return ResNet(RESNETS["resnet18"], classes)


@built_once
def retinanet(classes: int = 4, group_norm: bool = False) -> RetinaNet:
    """A narrow one; its heads have torchvision's four convolutions."""
    settings = RetinaNetSettings(
        "resnet18",
        channels=32,
        top="convolved C5" if group_norm else "convolved P5",
        head_norm="group" if group_norm else "none",
    )
    return RetinaNet(settings, classes)


@built_once
def faster_rcnn(classes: int = 4) -> FasterRCNN:
    return FasterRCNN(FasterRCNNSettings("resnet18", channels=8, hidden=16), classes)


@cache
def shapes_of(variant: str) -> nn.Module:
    """A network without values, which takes no memory and no time."""
    with torch.device("meta"):
        return find_variant(variant).build(90)


def randomised(network: nn.Module) -> State:
    """Its state with every tensor different from what any network starts with."""
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.rand(tensor.shape, generator=generator)
        if tensor.is_floating_point()
        else tensor + 7
        for key, tensor in network.state_dict().items()
    }


def renamed(state: State, *replacements: tuple[str, str]) -> State:
    """``state`` with the first prefix that fits a key replaced: ours made foreign."""
    result = {}
    for key, tensor in state.items():
        ours, theirs = next(pair for pair in replacements if key.startswith(pair[0]))
        result[theirs + key.removeprefix(ours)] = tensor
    return result


def torchvision_resnet(network: ResNet) -> State:
    return renamed(randomised(network), ("backbone.", ""), ("classifier.", "fc."))


def fpn_names(levels: int, new: bool) -> list[tuple[str, str]]:
    inner = ".0." if new else "."
    return [
        (f"pyramid.{ours}.{i}.", f"backbone.fpn.{theirs}_blocks.{i}{inner}")
        for i in range(levels)
        for ours, theirs in (("lateral", "inner"), ("output", "layer"))
    ]


def torchvision_retinanet(network: RetinaNet, new: bool) -> State:
    """As its first files name them, or as later releases do."""
    names = [("backbone.", "backbone.body."), *fpn_names(3, new)]
    names += [("pyramid.", "backbone.fpn.extra_blocks.")]
    for ours, theirs, prediction in (
        ("class_head", "head.classification_head", "cls_logits"),
        ("box_head", "head.regression_head", "bbox_reg"),
    ):
        for i in range(4):
            conv = f"{theirs}.conv.{i}.0." if new else f"{theirs}.conv.{2 * i}."
            names.append((f"{ours}.convs.{i}.conv.", conv))
            names.append((f"{ours}.convs.{i}.norm.", f"{theirs}.conv.{i}.1."))
        names.append((f"{ours}.predict.", f"{theirs}.{prediction}."))
    return renamed(randomised(network), *names)


def torchvision_faster_rcnn(network: FasterRCNN, new: bool) -> State:
    return renamed(
        randomised(network),
        ("backbone.", "backbone.body."),
        *fpn_names(4, new),
        ("rpn.head.conv.", "rpn.head.conv.0.0." if new else "rpn.head.conv."),
        ("rpn.head.objectness.", "rpn.head.cls_logits."),
        ("rpn.head.deltas.", "rpn.head.bbox_pred."),
        ("region_head.logits.", "roi_heads.box_predictor.cls_score."),
        ("region_head.deltas.", "roi_heads.box_predictor.bbox_pred."),
        ("region_head.", "roi_heads.box_head."),
    )


def without_counters(state: State) -> State:
    return {key: t for key, t in state.items() if not key.endswith("num_batches_tracked")}


def assert_holds(network: nn.Module, expected: State) -> None:
    """Every tensor to the bit, but for the counters, which some files do not have."""
    state, expected = without_counters(network.state_dict()), without_counters(expected)
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []
