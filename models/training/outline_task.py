"""Training a detector's snake, alone or with the detector: losses, and how good outlines are."""

import random
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.datasets.content import Annotations
from models.detector import OneStageDetector
from models.evaluation import evaluate_detections
from models.losses import outline_losses
from models.outline_evaluation import evaluate_outlines
from models.training.augment import Augment
from models.training.dataset import normalise
from models.training.detection_task import DetectionTask, OnProgress
from models.training.devices import Process, choose_precision
from models.training.outlines import OutlineDataset, collate_outlines, jitter
from models.training.recipe import Recipe
from service.imaging.input_spec import WholeInput


class OutlineTask(DetectionTask):
    """A detector's photos, with the outlines of their objects; see `DetectionTask`."""

    metric = "outline_iou"

    def __init__(
        self,
        network: OneStageDetector,
        spec: WholeInput,
        recipe: Recipe,
        process: Process,
        training: Annotations,
        validation: Annotations,
        augment: Augment,
    ) -> None:
        super().__init__(network, spec, recipe, process, training, validation, augment)
        assert network.snake is not None
        self.snake = network.snake
        self.photos = OutlineDataset(training.photos, spec, augment.for_input(spec), recipe.seed)
        self.collate = collate_outlines
        of_outlines = ("extremes_loss", "outline_loss")
        of_boxes = () if recipe.frozen_detector else DetectionTask.losses_named
        self.losses_named = (*of_boxes, *of_outlines)

    def losses(self, network: nn.Module, batch: Any, rng: random.Random) -> tuple[Tensor, ...]:
        """Those of `losses_named`; a detector that is frozen has none."""
        inputs, *of_objects = batch
        device = self.process.device
        boxes, targets, goals = ([rows.to(device) for rows in part] for part in of_objects)
        if not isinstance(inputs, Tensor):  # kept features
            return self._outline_losses(inputs[0].to(device), boxes, goals, rng)
        images, scaled = self.rescale(inputs.to(device), [*boxes, *goals], rng)
        boxes, goals = scaled[: len(boxes)], scaled[len(boxes) :]
        with torch.set_grad_enabled(not self.recipe.frozen_detector):
            pyramid = self.network.pyramid(self.network.backbone(images))
        of_boxes: tuple[Tensor, ...] = ()
        if not self.recipe.frozen_detector:
            outputs = self.network.run_heads(pyramid)
            of_boxes = self.losses_of(outputs, images.shape[-1], boxes, targets)
        return *of_boxes, *self._outline_losses(pyramid[0], boxes, goals, rng)

    def frozen_features(self, images: Tensor) -> list[Tensor]:
        """The pyramid's finest level for ``images``, uint8 [N, 3, H, W]."""
        device = self.process.device
        dtype = choose_precision(self.recipe.precision, device)
        enabled = dtype != torch.float32
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=enabled):
            features = self.network.backbone(normalise(images.to(device), self.spec))
            return self.network.pyramid(features)[:1]

    def _outline_losses(
        self, finest: Tensor, boxes: list[Tensor], goals: list[Tensor], rng: random.Random
    ) -> tuple[Tensor, Tensor]:
        """Of the objects that have an outline to learn."""
        counts = torch.tensor([len(rows) for rows in boxes], device=finest.device)
        image = torch.arange(len(boxes), device=finest.device).repeat_interleave(counts)
        box, goal = torch.cat(boxes), torch.cat(goals)
        learned = goal.isfinite().all(dim=2).all(dim=1)
        if not learned.any():
            nothing = sum(parameter.sum() * 0 for parameter in self.snake.parameters())
            return nothing, nothing
        box = jitter(box[learned], rng)
        with torch.autocast(finest.device.type, enabled=False):
            # an image for each object, so that norms see objects and no padding
            extremes, contours = self.snake(finest.float()[image[learned]], box.unsqueeze(1))
            shown = extremes[:, 0], [contour[:, 0] for contour in contours]
            return outline_losses(*shown, goal[learned], box)

    def find(
        self, network: nn.Module, images: Tensor, thresholds: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """What `select_detections` gives for normalised ``images`` [N, 3, H, W], and outlines."""
        detector = cast(OneStageDetector, network)
        pyramid = detector.pyramid(detector.backbone(images))
        found = self.select(detector.run_heads(pyramid), images, thresholds)
        assert detector.snake is not None
        return *found, detector.snake.outlines(pyramid[0], found[1].to(images.device)).cpu()

    def evaluate(self, network: nn.Module, on_progress: OnProgress) -> dict[str, float]:
        """Of ``network`` on the validation photos: AP of boxes and of masks, and the overlap of
        outlines."""
        rows = self.detect(network, on_progress)
        boxes, outlines = evaluate_detections(self.truth, rows), evaluate_outlines(self.truth, rows)
        measured = {"ap": boxes.ap, "ap50": boxes.ap50, "ap75": boxes.ap75, **vars(outlines)}
        return {name: value or 0.0 for name, value in measured.items()}
