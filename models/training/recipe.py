"""The hyperparameters of a training run, each with its source.

A recipe's defaults are those of EfficientDet (arXiv 1911.09070, section 5.1): SGD with momentum, a
warm-up over the first 5 % of the steps to .08 at a batch of 128, a cosine down, focal loss with
alpha .25 and gamma 1.5, averaged weights, flips and a scale jitter of .1 to 2. What departs from
the paper:

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
    frozen_detector: of a detector with a snake all but the snake is left as it is.
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
    frozen_detector: bool = False
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


@dataclass(frozen=True)
class Augmentation:
    """How training photos vary. By default: flip, scale jitter with crop, and colour jitter.

    scale: range of the photo's size, as a multiple of the size that the service gives it. The .1 to
        2 of EfficientDet (arXiv 1911.09070, section 5.1) is for hundreds of epochs; a short
        training on few photos does better with less.
    aspect: the photo is stretched by up to this share in one direction, at the expense of the
        other; .25 makes width : height 1/1.25 to 1.25 times what it was.
    rotation: the photo is turned by up to this many degrees, either way. A box becomes the hull of
        the turned ellipse inscribed in it, see ``Warp.move``.
    flip: probability that left and right are mirrored.
    colour: brightness, contrast and saturation each vary by this share, up and down.
    hue: colours are turned by up to this share of the colour circle, either way; .5 is everything.
    lighting: standard deviation of the coefficients of PCA lighting noise; .1 in AlexNet ("ImageNet
        Classification with Deep Convolutional Neural Networks", section 4.1).
    noise: each photo gets Gaussian noise with a standard deviation of 0 up to this many of the 255
        grey levels.
    mosaic: probability that a view is put together of four photos (YOLOv4, arXiv 2004.10934,
        section 3.3).
    mixup: probability that two views, each a mosaic or a single photo, are blended into one with
        the boxes of both (arXiv 1710.09412; for detection arXiv 1902.04103).
    """

    scale: tuple[float, float] = (0.6, 1.8)
    aspect: float = 0.0
    rotation: float = 0.0
    flip: float = 0.5
    colour: float = 0.3
    hue: float = 0.02
    lighting: float = 0.0
    noise: float = 0.0
    mosaic: float = 0.0
    mixup: float = 0.0


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
