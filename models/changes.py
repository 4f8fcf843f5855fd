"""What may follow an architecture's name: "+bilinear", "+groupnorm", "+snake".

Networks, and PyTorch, are imported where one is changed, as in `models.variants`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.manifest import Task

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Change:
    """What a suffix makes of a network, and of which: those for ``task``, or of one stage alone.

    apply: of a network and its number of classes the changed network.
    """

    task: Task
    apply: "Callable[[nn.Module, int], nn.Module]"
    one_stage: bool = False

    def suits(self, architecture: str, task: Task) -> bool:
        """Whether ``architecture``, a row's name, can be changed so."""
        return task == self.task and not (self.one_stage and "rcnn" in architecture)


def with_bilinear_head(classifier: "nn.Module", num_classes: int) -> "nn.Module":
    """``classifier`` with factorised bilinear coding in place of its head."""
    from models.bilinear import BilinearClassifier

    return BilinearClassifier(classifier.get_submodule("backbone"), num_classes)


def with_group_norms(detector: "nn.Module", num_classes: int) -> "nn.Module":
    """``detector`` with group norms (arXiv 1803.08494) in place of the batch norms outside its
    backbone, which do not suffer from small batches."""
    from torch import nn

    from models.retinanet import NORM_GROUPS

    for name, module in list(detector.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and not name.startswith("backbone."):
            parent, _, own = name.rpartition(".")
            channels = module.num_features
            norm = nn.GroupNorm(math.gcd(NORM_GROUPS, channels), channels, module.eps)
            setattr(detector.get_submodule(parent), own, norm)
    return detector


def with_snake(detector: "nn.Module", num_classes: int) -> "nn.Module":
    """``detector`` with a Deep Snake on its pyramid's finest level, which finds outlines."""
    from models.snake import DeepSnake

    detector.snake = DeepSnake(detector.get_submodule("pyramid").channels)
    return detector


CHANGES = {
    "bilinear": Change("classification", with_bilinear_head),
    "groupnorm": Change("detection", with_group_norms),
    "snake": Change("detection", with_snake, one_stage=True),
}
