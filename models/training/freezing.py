"""Freezing a backbone's first stages: their weights and their norms' statistics."""

from torch import nn

from models.staged import StagedBackbone
from models.training.recipe import Recipe, TrainingError


def frozen_layers(network: nn.Module, stages: int) -> list[nn.Module]:
    """The stem and the first ``stages`` stages of ``network``'s backbone; nothing for 0.

    Raises TrainingError if there are fewer.
    """
    if stages == 0:
        return []
    backbone = network.get_submodule("backbone")
    if not isinstance(backbone, StagedBackbone):
        raise TrainingError(
            f"--frozen-stages {stages}: a {type(backbone).__name__} has no stages to freeze"
        )
    try:
        return backbone.first(stages)
    except ValueError as error:
        raise TrainingError(f"--frozen-stages {stages}: {error}") from error


def frozen_parts(network: nn.Module, recipe: Recipe) -> list[nn.Module]:
    """What ``recipe`` leaves as it is: `frozen_layers`, or of a detector all but its snake."""
    if recipe.frozen_detector:
        return [part for name, part in network.named_children() if name != "snake"]
    return frozen_layers(network, recipe.frozen_stages)


def freeze(network: nn.Module, recipe: Recipe) -> None:
    """Take the `frozen_parts` out of training. Raises TrainingError."""
    for part in frozen_parts(network, recipe):
        part.requires_grad_(False)


def train_mode(network: nn.Module, recipe: Recipe) -> None:
    """Put ``network`` into training mode, except norms whose statistics stay as they are.

    These are the frozen parts' norms, and those with an eps of 0: torchvision trained the detector
    that has such with frozen statistics, and a constant channel would be divided by 0.
    """
    network.train()
    for part in frozen_parts(network, recipe):
        part.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.eps == 0:
            module.eval()
