"""What is frozen does not change by a bit, and all else does."""

import pytest
import torch
from torch import nn

from models.training.freezing import freeze, frozen_layers, train_mode
from models.training.optimizers import build_optimizer
from models.training.recipe import Recipe, TrainingError
from models.variants import VARIANTS, find_variant

# of each architecture: the names that are frozen with its first two stages
FROZEN = {
    "retinanet_resnet18_fpn": ("conv1.", "bn1.", "layer1.", "layer2."),
    "resnet18": ("conv1.", "bn1.", "layer1.", "layer2."),
    "efficientdet_lite0": ("stem.", "stages.0.", "stages.1."),
}


@pytest.mark.parametrize("architecture", FROZEN)
def test_a_step_changes_exactly_what_is_not_frozen(architecture: str) -> None:
    torch.manual_seed(0)
    network = VARIANTS[architecture].build(3)
    freeze(network, Recipe(frozen_stages=2))
    train_mode(network, Recipe(frozen_stages=2))
    optimizer = build_optimizer(network, Recipe(optimizer="adamw", weight_decay=0.1, batch_size=64))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    outputs = network(torch.randn(2, 3, 128, 128))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(output.square().sum() for output in outputs).backward()
    optimizer.step()
    frozen = tuple(f"backbone.{name}" for name in FROZEN[architecture])
    for name, tensor in network.state_dict().items():
        stays = name.startswith(frozen)
        assert torch.equal(tensor, before[name]) == stays, name
    statistics = [name for name in before if name.endswith("running_var")]
    assert {name.startswith(frozen) for name in statistics} == {True, False}


def test_all_stages_may_be_frozen() -> None:
    network = VARIANTS["retinanet_resnet18_fpn"].build(3)
    freeze(network, Recipe(frozen_stages=4))
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
    assert all(parameter.requires_grad for parameter in network.pyramid.parameters())


@pytest.mark.parametrize(
    ("architecture", "stages", "message"),
    [
        ("retinanet_resnet18_fpn", 5, "--frozen-stages 5: this backbone has 4 stages, not 5"),
        ("efficientdet_lite0", 8, "--frozen-stages 8: this backbone has 7 stages, not 8"),
        ("vgg11", 1, "--frozen-stages 1: a VGGBackbone has no stages to freeze"),
    ],
)
def test_more_stages_than_there_are_cannot_be_frozen(
    architecture: str, stages: int, message: str
) -> None:
    with torch.device("meta"):
        network = VARIANTS[architecture].build(1)
    with pytest.raises(TrainingError, match=message):
        freeze(network, Recipe(frozen_stages=stages))
    assert frozen_layers(network, 0) == []


def test_a_bilinear_classifiers_backbone_can_be_frozen() -> None:
    with torch.device("meta"):
        network = find_variant("resnet18+bilinear").build(2)
    freeze(network, Recipe(frozen_stages=4))
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained
    assert not any(name.startswith("backbone.") for name in trained)


def test_norms_without_an_eps_keep_their_statistics() -> None:
    """A channel that is constant, of which such detectors have some, would be divided by 0."""
    torch.manual_seed(0)
    network = VARIANTS["retinanet_resnet50_fpn"].build(2)
    norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    nn.init.zeros_(network.backbone.conv1.weight)
    train_mode(network, Recipe())
    logits, _ = network(torch.randn(1, 3, 64, 64))
    assert torch.isfinite(logits).all()
    assert all((norm.running_mean == 0).all() for norm in norms)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert network.class_head.training
