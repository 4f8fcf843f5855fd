"""The training loop of one-stage detectors."""

import csv
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.detector import OneStageDetector
from models.evaluation import AveragePrecision, BoxRow, average_precision
from models.losses import DetectionLoss
from models.postprocess import DetectionDecoder, select_detections
from models.training.dataset import CocoAnnotations, DetectionDataset, collate, normalise
from models.training.ema import WeightAverage
from models.variants import InputSpec
from models.weights import Checkpoint, save_checkpoint

LOG_FIELDS = ("epoch", "class_loss", "box_loss", "images_per_second", "ap", "ap50", "ap75")


@dataclass(frozen=True)
class Recipe:
    """What a training run does, beside its data.

    learning_rate: of the pyramid and heads, at the peak; the backbone's is ``backbone_rate`` of it.
    frozen_stages: leading backbone stages that are left as they are, batch norms included.
    bfloat16: whether convolutions run in bfloat16; weights and losses stay float32.
    evaluate_every: epochs between two measurements on the validation photos.
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    backbone_rate: float = 0.2
    weight_decay: float = 1e-2
    warmup: float = 0.05
    clip_norm: float = 10.0
    ema_decay: float = 0.998
    frozen_stages: int = 3
    bfloat16: bool = True
    evaluate_every: int = 4

    def rate_at(self, progress: float) -> float:
        """Factor of the learning rate at ``progress`` in 0..1: linear warm-up, then a cosine."""
        if progress < self.warmup:
            return progress / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


class Trainer:
    """Trains ``network`` on a loader of (images or frozen features, boxes, labels).

    Each evaluation appends a row to ``log.csv`` in ``output``. The best weights by AP lie in
    ``best.pth`` and the last epoch's in ``last.pth``; both are averaged, see `WeightAverage`.
    """

    def __init__(
        self,
        network: OneStageDetector,
        architecture: str,
        input_spec: InputSpec,
        recipe: Recipe,
        validation: CocoAnnotations,
        validation_file: Path,
        output: Path,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # half again as fast on CPU
        self.architecture, self.recipe = architecture, recipe
        self.input_spec, self.output = input_spec, output
        self.validation, self.validation_file = validation, validation_file
        self.decoder = DetectionDecoder(
            network.anchors, network.box_coder, input_spec.height, input_spec.width
        )
        self.loss = DetectionLoss(network.box_coder)
        self.average = WeightAverage(network, recipe.ema_decay)
        self.best = -1.0

    def fit(self, loader: DataLoader, progress: Progress) -> None:
        """Run every epoch of the recipe."""
        optimizer = torch.optim.AdamW(self._parameter_groups())
        steps = self.recipe.epochs * len(loader)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.recipe.rate_at(step / steps)
        )
        for epoch in range(1, self.recipe.epochs + 1):
            task = progress.add_task(f"epoch {epoch}/{self.recipe.epochs}", total=len(loader))
            start, totals, images = time.perf_counter(), torch.zeros(2), 0
            self._train_mode()
            for inputs, boxes, labels in loader:
                losses = self._losses(inputs, boxes, labels)
                optimizer.zero_grad()
                sum(losses).backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
                optimizer.step()
                schedule.step()
                self.average.update(self.network)
                totals += torch.stack(losses).detach()
                images += len(boxes)
                progress.advance(task)
            speed = images / (time.perf_counter() - start)
            class_loss, box_loss = (totals / len(loader)).tolist()
            progress.remove_task(task)
            progress.console.print(
                f"epoch {epoch}: class loss {class_loss:.3f}, box loss {box_loss:.3f},"
                f" {speed:.1f} images/s"
            )
            self._save("last.pth")
            last = epoch == self.recipe.epochs
            if last or epoch % self.recipe.evaluate_every == 0:
                measured = self.evaluate(progress)
                self._log(epoch, class_loss, box_loss, speed, measured)
                self._keep_if_best(measured)
                progress.console.print(f"  AP {measured.ap:.3f}, AP50 {measured.ap50:.3f}")

    def evaluate(self, progress: Progress) -> AveragePrecision:
        """AP of the averaged weights on the validation photos."""
        rows: list[BoxRow] = []
        photos = self.validation.photos
        dataset = DetectionDataset(photos, self.input_spec.height, augment=None)
        task = progress.add_task("evaluating", total=len(photos))
        with torch.no_grad():
            for images, _, _ in DataLoader(dataset, batch_size=16, collate_fn=collate):
                start = int(progress.tasks[progress.task_ids.index(task)].completed)
                outputs = self.average.network(self._normalise(images))
                scores, boxes = self.decoder(*outputs)
                thresholds = torch.tensor(0.02), torch.tensor(0.5), torch.tensor(100)
                detections = select_detections(scores, boxes, *thresholds)
                rows += self._rows(start, *detections)
                progress.advance(task, len(images))
        progress.remove_task(task)
        return average_precision(self.validation_file, rows)

    def frozen_features(self, images: Tensor) -> list[Tensor]:
        """What the frozen stages give for ``images``, uint8 [N, 3, H, W]; to be computed once."""
        with torch.no_grad(), self._autocast():
            normalised = self._normalise(images)
            return self.network.backbone.run_first(normalised, self.recipe.frozen_stages)

    def _losses(
        self, inputs: Tensor | list[Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> list[Tensor]:
        """``inputs`` are images, or what `frozen_features` gave for them."""
        with self._autocast():
            if isinstance(inputs, Tensor):
                logits, deltas = self.network(self._normalise(inputs))
            else:
                kept = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
                features = self.network.backbone.resume(kept, self.recipe.frozen_stages)
                logits, deltas = self.network.predict(features)
        anchors = self.decoder.anchors
        return list(self.loss(logits.float(), deltas.float(), anchors, boxes, labels))

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16)

    def _normalise(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        return normalise(images, self.input_spec.mean, self.input_spec.std)

    def _train_mode(self) -> None:
        self.network.train()
        if self.recipe.frozen_stages:
            self.network.backbone.stem.eval()
            self.network.backbone.stages[: self.recipe.frozen_stages].eval()

    def _parameter_groups(self) -> list[dict]:
        """Weights decay; norms and biases do not. The backbone learns more slowly."""
        groups = []
        for of_backbone in (False, True):
            rate = self.recipe.learning_rate * (self.recipe.backbone_rate if of_backbone else 1)
            members = [
                parameter
                for name, parameter in self._trainable()
                if name.startswith("backbone.") == of_backbone
            ]
            decayed = [p for p in members if p.ndim > 1]
            plain = [p for p in members if p.ndim <= 1]
            groups += [
                {"params": decayed, "lr": rate, "weight_decay": self.recipe.weight_decay},
                {"params": plain, "lr": rate, "weight_decay": 0.0},
            ]
        return [group for group in groups if group["params"]]

    def _trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        frozen = tuple(f"backbone.stages.{i}." for i in range(self.recipe.frozen_stages))
        for name, parameter in self.network.named_parameters():
            if frozen and name.startswith(("backbone.stem.", *frozen)):
                continue
            yield name, parameter

    def _rows(
        self, start: int, numbers: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> list[BoxRow]:
        """Detections of a batch whose first photo has the index ``start``, in COCO's terms."""
        rows = []
        for offset, number in enumerate(numbers.tolist()):
            photo = self.validation.photos[start + offset]
            scale = max(photo.width, photo.height) / self.input_spec.height
            for box, score, label in zip(
                (boxes[offset, :number] * scale).tolist(),
                scores[offset, :number].tolist(),
                labels[offset, :number].tolist(),
                strict=True,
            ):
                left, top, right, bottom = box
                category = self.validation.categories[label][0]
                bbox = (left, top, right - left, bottom - top)
                rows.append(BoxRow(photo.image_id, category, bbox, score))
        return rows

    def _log(
        self, epoch: int, class_loss: float, box_loss: float, speed: float, ap: AveragePrecision
    ) -> None:
        path = self.output / "log.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(LOG_FIELDS)
            figures = (class_loss, box_loss, speed, ap.ap, ap.ap50, ap.ap75)
            writer.writerow((epoch, *(f"{figure:.4f}" for figure in figures)))

    def _keep_if_best(self, measured: AveragePrecision) -> None:
        if measured.ap > self.best:
            self.best = measured.ap
            self._save("best.pth")

    def _save(self, name: str) -> None:
        """The averaged weights, in a file that --weights and the export take."""
        state = self.average.network.state_dict()
        checkpoint = Checkpoint(state, self.architecture, self.validation.categories)
        save_checkpoint(checkpoint, self.output / name)
