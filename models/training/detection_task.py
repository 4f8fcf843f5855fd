"""Training a one-stage detector: its losses, and its average precision."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.anchors import AnchorGenerator
from models.datasets.content import Annotations, Categories, Outline
from models.detector import OneStageDetector
from models.evaluation import (
    IOU_THRESHOLD,
    MAX_DETECTIONS,
    SCORE_FLOOR,
    BoxRow,
    evaluate_detections,
)
from models.losses import DetectionLoss
from models.postprocess import decode_anchors, select_detections
from models.training.augment import Augment
from models.training.dataset import (
    DetectionDataset,
    EpochDataset,
    collate,
    normalise,
    stack,
    training_side,
)
from models.training.devices import Process
from models.training.features import FeatureCache, collate_features
from models.training.recipe import Recipe
from service.imaging.files import read_photo
from service.imaging.input_spec import WholeInput
from service.imaging.placement import Placement
from service.imaging.resize import Size, input_size

Batch = tuple[Tensor | list[Tensor], list[Tensor], list[Tensor]]
OnProgress = Callable[[int], None]  # of the number of photos done since the last call

BATCH_SIZE = 16  # of an evaluation
SIZE_STEP = 64  # pixels, between the sizes of multi-scale training


class DetectionTask:
    """A detector's photos, losses and evaluation."""

    metric = "ap"  # by which the best weights are chosen
    losses_named: tuple[str, ...] = ("class_loss", "box_loss")

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
        self.network, self.spec, self.recipe, self.process = network, spec, recipe, process
        self.validation, self.truth = validation, validation.to_coco()
        self.categories = training.categories
        self.photos: EpochDataset[Any] = DetectionDataset(
            training.photos, spec, augment.for_input(spec), recipe.seed
        )
        self.collate: Callable[..., Batch] = collate
        self.loss = DetectionLoss(
            network.box_coder,
            class_loss=recipe.class_loss,
            box_loss=recipe.box_loss,
            mean_count=process.mean_count,
        )
        self.side = training_side(spec)
        self._anchors: dict[tuple[int, int], Tensor] = {}

    def keep_features(self, cache: FeatureCache) -> None:
        """Train on the frozen stages' output, kept in ``cache``, in place of photos."""
        self.photos, self.collate = cache, collate_features

    def losses(self, network: nn.Module, batch: Batch, rng: random.Random) -> tuple[Tensor, ...]:
        """Class loss and box loss of ``batch``; ``network`` may be wrapped for several processes.

        Its convolutions compute in autocast's type, the losses in float32.
        """
        inputs, boxes, targets = batch
        device = self.process.device
        boxes, targets = [b.to(device) for b in boxes], [t.to(device) for t in targets]
        if isinstance(inputs, Tensor):
            images, boxes = self.rescale(inputs.to(device), boxes, rng)
            side = images.shape[-1]
            logits, deltas = network(images)
        else:
            side = self.side
            kept = [x.to(device).contiguous(memory_format=torch.channels_last) for x in inputs]
            features = self.network.backbone.resume(kept, self.recipe.frozen_stages)
            logits, deltas = self.network.predict(features)
        return self.losses_of((logits, deltas), side, boxes, targets)

    def losses_of(
        self,
        outputs: tuple[Tensor, Tensor],
        side: int,
        boxes: list[Tensor],
        targets: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Class loss and box loss of a network's logits and deltas, for inputs of ``side``."""
        logits, deltas = outputs
        with torch.autocast(self.process.device.type, enabled=False):
            anchors = self._anchors_of(side, side)
            labels, scores = [t[:, 0].long() for t in targets], [t[:, 1] for t in targets]
            return self.loss(logits.float(), deltas.float(), anchors, boxes, labels, scores)

    def frozen_features(self, images: Tensor) -> list[Tensor]:
        """What the frozen stages give for ``images``, uint8 [N, 3, H, W]; to be computed once."""
        with torch.no_grad():
            normalised = normalise(images.to(self.process.device), self.spec)
            return self.network.backbone.run_first(normalised, self.recipe.frozen_stages)

    def evaluate(self, network: nn.Module, on_progress: OnProgress) -> dict[str, float]:
        """AP of ``network`` on the validation photos."""
        measured = evaluate_detections(self.truth, self.detect(network, on_progress))
        return {name: getattr(measured, name) or 0.0 for name in ("ap", "ap50", "ap75")}

    def detect(self, network: nn.Module, on_progress: OnProgress) -> list[BoxRow]:
        """What ``network`` finds in the validation photos."""
        rows: list[BoxRow] = []
        photos = self.validation.photos
        sizes = [input_size((photo.width, photo.height), self.spec) for photo in photos]
        settings = map(torch.tensor, (SCORE_FLOOR, IOU_THRESHOLD, MAX_DETECTIONS))
        thresholds = tuple(settings)
        with torch.no_grad():
            for indices in batches_of_one_size(sizes, BATCH_SIZE):
                inputs = [read_photo(photos[i].path, self.spec) for i in indices]
                images = stack(inputs)
                normalised = normalise(images.to(self.process.device), self.spec)
                found = self.find(network, normalised, thresholds)
                for i, x, number, *detections in zip(indices, inputs, *found, strict=True):
                    shown = (values[:number] for values in detections)
                    rows += to_rows(self.categories, photos[i].image_id, x.placement, *shown)
                on_progress(len(images))
        return rows

    def find(
        self, network: nn.Module, images: Tensor, thresholds: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """What `select_detections` gives for normalised ``images`` [N, 3, H, W]."""
        return self.select(network(images), images, thresholds)

    def select(
        self, outputs: tuple[Tensor, Tensor], images: Tensor, thresholds: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The same from a network's logits and deltas."""
        height, width = images.shape[-2:]
        anchors, coder = self._anchors_of(height, width), self.network.box_coder
        scores, boxes = decode_anchors(*outputs, anchors, coder, height, width)
        return select_detections(scores.cpu(), boxes.cpu(), *thresholds)

    def rescale(
        self, images: Tensor, boxes: list[Tensor], rng: random.Random
    ) -> tuple[Tensor, list[Tensor]]:
        """Normalised images at a size of this batch's own, with their boxes."""
        least, most = self.recipe.multi_scale
        normalised = normalise(images, self.spec)
        if least == most == 1:
            return normalised, boxes
        size = round(self.side * rng.uniform(least, most) / SIZE_STEP) * SIZE_STEP
        scaled = F.interpolate(normalised, size=(size, size), mode="bilinear", antialias=True)
        return scaled, [b * size / self.side for b in boxes]

    def _anchors_of(self, height: int, width: int) -> Tensor:
        """Those of an input of this size, [A, 4]."""
        size = height, width
        if size not in self._anchors:
            anchors = AnchorGenerator(self.network.anchors).over_input(*size)
            self._anchors[size] = anchors.to(self.process.device)
        return self._anchors[size]


def to_rows(
    categories: Categories,
    image_id: int,
    placement: Placement,
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    contours: Tensor | None = None,
) -> list[BoxRow]:
    """Detections on one photo's input, in COCO's terms; ``contours`` [D, V, 2] where outlines are
    found."""
    corners = placement.undo(boxes.numpy()).tolist()
    outlines: list[Outline | None] = [None] * len(corners)
    if contours is not None:
        outlines = [(contour,) for contour in placement.undo(contours.numpy())]
    return [
        BoxRow(
            image_id, categories[label][0], (left, top, right - left, bottom - top), score, outline
        )
        for (left, top, right, bottom), score, label, outline in zip(
            corners, scores.tolist(), labels.tolist(), outlines, strict=True
        )
    ]


def batches_of_one_size(sizes: list[Size], most: int) -> list[list[int]]:
    """Indices of ``sizes`` in batches of at most ``most``, each of one size."""
    groups: dict[Size, list[int]] = {}
    for index, size in enumerate(sizes):
        groups.setdefault(size, []).append(index)
    return [
        group[start : start + most]
        for group in groups.values()
        for start in range(0, len(group), most)
    ]
