"""The hyperparameters of a training run, each with its source.

The defaults are those of EfficientDet (arXiv 1911.09070, section 5.1): SGD with momentum, a warm-up
over the first 5 % of the steps to .08 at a batch of 128, a cosine down, focal loss with alpha .25
and gamma 1.5, averaged weights, flips and a scale jitter of .1 to 2. What departs from the paper:

* weight decay is left off norms and biases, which it only disturbs;
* the learning rate is proportional to the batch (arXiv 1706.02677), as few have 128 photos at once;
* gradients are clipped, because a small batch has larger ones;
* the average's decay is .9998 in the paper, for 300 epochs of COCO; here it follows the number of
  steps, so that a short run's average is not that of its beginnings.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class TrainingError(Exception):
    """A run that cannot begin or go on; the message says why and what to do."""


@dataclass(frozen=True)
class Recipe:
    """A run.

    epochs, batch_size: passes over the photos; photos in a batch, on all devices together.
    accumulate: batches whose gradients are added up for one step.
    learning_rate: at the peak, for a batch of 128; ``backbone_rate`` is the backbone's share of it.
    momentum, nesterov: of SGD.
    warmup: share of all steps in which the rate rises from 0.
    ema_decay: of the averaged weights; None follows the number of steps.
    frozen_stages: leading backbone stages that are left as they are, batch norms included.
    class_loss: "focal", or "ohem": cross-entropy of all objects and of the worst background.
    box_loss: "huber" or "smooth_l1"; at these weights the two are the same function.
    precision: of convolutions; weights and losses stay float32. "auto" takes bfloat16 where the
        processor or GPU computes with it.
    multi_scale: range of the input's size as a share of the network's own; (1, 1) keeps it.
    label_smoothing: of a classifier.
    evaluate_every: epochs between two measurements on the validation photos.
    deterministic: whether the same seed gives the same weights, bit by bit, at some cost in speed.
    """

    epochs: int = 300
    batch_size: int = 32
    accumulate: int = 1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.08
    backbone_rate: float = 1.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 4e-5
    warmup: float = 0.05
    clip_norm: float = 10.0
    ema_decay: float | None = None
    frozen_stages: int = 0
    class_loss: Literal["focal", "ohem"] = "focal"
    box_loss: Literal["huber", "smooth_l1"] = "huber"
    precision: Precision = "auto"
    multi_scale: tuple[float, float] = (1.0, 1.0)
    label_smoothing: float = 0.0
    evaluate_every: int = 5
    seed: int = 0
    deterministic: bool = False

    @property
    def peak_rate(self) -> float:
        """The learning rate at the peak, for this recipe's batch."""
        return self.learning_rate * self.batch_size * self.accumulate / 128

    def rate_at(self, step: int, steps: int) -> float:
        """Factor of the learning rate at ``step`` of 1..``steps``: linear warm-up, then a cosine,
        which would reach 0 one step after the last: each step moves the weights."""
        progress = step / (steps + 1)
        if progress < self.warmup:
            return progress / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))

    def average_decay(self, steps: int) -> float:
        """Of the averaged weights in a run of ``steps``: they look back over 2 % of it."""
        return 1 - 1 / max(0.02 * steps, 10) if self.ema_decay is None else self.ema_decay


RECIPES = {
    "paper": Recipe(),
    # A few thousand photos, pretrained weights, tens of epochs: Adam gets there in a tenth of the
    # steps, and the backbone, which knows how to see, moves slowly.
    "small": replace(
        Recipe(),
        epochs=40,
        optimizer="adamw",
        learning_rate=6e-3,
        backbone_rate=0.2,
        weight_decay=1e-2,
        ema_decay=0.998,
    ),
}
