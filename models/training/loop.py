"""The training loop of detectors, classifiers and auto-encoders."""

import math
import random
import time
from contextlib import closing, nullcontext
from pathlib import Path

import torch
from rich.progress import Progress, TaskID
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.checkpoint_file import CheckpointError
from models.checkpoints import Checkpoint, save_checkpoint
from models.training.batches import EpochBatches
from models.training.classification_task import ClassificationTask
from models.training.depthwise import FastDepthwise
from models.training.detection_task import DetectionTask
from models.training.devices import Process, choose_precision
from models.training.freezing import freeze, train_mode
from models.training.optimizers import WeightAverage, build_optimizer
from models.training.recipe import Recipe, TrainingError
from models.training.reconstruction_task import ReconstructionTask
from models.training.run_log import RunLog
from models.training.state import Position, TrainingState, load_state, save_state

SAVE_SECONDS = 300  # between two states saved within an epoch


class Trainer:
    """Trains ``network`` by ``recipe`` on what ``task`` gives it.

    Leaves in ``output``: the best averaged weights in ``best.pth`` and the last in ``last.pth``, as
    the export takes them; ``log.csv`` and ``tensorboard/``; and ``state.pth``, from which the same
    run goes on after any interruption as if there had been none.
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: str,
        task: DetectionTask | ClassificationTask | ReconstructionTask,
        recipe: Recipe,
        process: Process,
        output: Path,
        workers: int = 0,
    ) -> None:
        """Raises CheckpointError if ``output`` holds the state of another run, TrainingError if the
        backbone has fewer stages than the recipe freezes."""
        self.network, self.architecture, self.task = network, architecture, task
        self.recipe, self.process, self.output = recipe, process, output
        if torch.are_deterministic_algorithms_enabled() != recipe.deterministic:
            torch.use_deterministic_algorithms(recipe.deterministic)  # imports a compiler: seconds
        freeze(network, recipe)
        network.to(process.device, memory_format=torch.channels_last)
        self.dtype = choose_precision(recipe.precision, process.device)
        self.batches = EpochBatches(
            len(task.photos), recipe.batch_size, recipe.seed, process.rank, process.world_size
        )
        self.steps_an_epoch = math.ceil(len(self.batches) / recipe.accumulate)
        self.steps = recipe.epochs * self.steps_an_epoch
        self.average = WeightAverage(network, recipe.average_decay(self.steps))
        self.optimizer = build_optimizer(network, recipe)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=self.dtype == torch.float16)
        self.shared = process.distribute(network)
        self.loader = DataLoader(
            task.photos,
            batch_sampler=self.batches,
            collate_fn=task.collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=process.device.type == "cuda",
            # of its own: each pass draws a number, which would move dropout's after a resume
            generator=torch.Generator(),
        )
        self.position, self.best, self.sums = Position(), -math.inf, self._no_losses()
        self._resume()

    def fit(self, progress: Progress) -> None:
        """Run what is left of the recipe's epochs. Raises TrainingError."""
        done = self.position.epoch * len(self.batches) + self.position.batch
        whole = progress.add_task(
            "whole run", total=self.recipe.epochs * len(self.batches), completed=done
        )
        # one log, whatever the number of processes
        log = RunLog(self.output, self.position.epoch) if self.process.is_main else None
        with closing(log) if log is not None else nullcontext():
            while self.position.epoch < self.recipe.epochs:
                speed = self._run_epoch(progress, whole)
                row = self._row(speed)
                if self._is_measured(self.position.epoch):
                    row |= self._measure(progress)
                if log is not None:
                    log.add(row)
                    progress.console.print(describe(row), highlight=False, soft_wrap=True)
                self.position = Position(self.position.epoch + 1)
                self.sums = self._no_losses()
                self._save()
                self.process.barrier()

    def _run_epoch(self, progress: Progress, whole: TaskID) -> float:
        """Train on what is left of the epoch; returns photos a second."""
        epoch, first = self.position.epoch, self.position.batch
        self.batches.start(epoch, first)
        self.task.photos.set_epoch(epoch)
        train_mode(self.network, self.recipe)
        label = f"epoch {epoch + 1}/{self.recipe.epochs}"
        bar = progress.add_task(label, total=len(self.batches), completed=first)
        started = saved = time.monotonic()
        for batch, content in enumerate(self.loader, start=first):
            last = batch + 1 == len(self.batches)
            losses = self._add_gradients(batch, content)
            for name, loss in zip(self.task.losses_named, losses, strict=True):
                self.sums[name] += loss.item()
            if last or (batch + 1) % self.recipe.accumulate == 0:
                self._step(epoch * self.steps_an_epoch + batch // self.recipe.accumulate)
                self.position = Position(epoch, batch + 1)
                # The first process's clock decides for all, since each has its part in a state.
                due = self.process.is_main and time.monotonic() - saved > SAVE_SECONDS
                # an epoch that is not measured is saved at once when it is over
                if (last and self._is_measured(epoch)) or self.process.sum(int(due)):
                    self._save()
                    saved = time.monotonic()
            speed = (batch + 1 - first) * self.recipe.batch_size / (time.monotonic() - started)
            mean = sum(self.sums.values()) / (batch + 1)
            text = f"{label}, loss {mean:.3f}, {speed:.1f} images/s"
            progress.update(bar, advance=1, description=text)
            progress.advance(whole)
        progress.remove_task(bar)
        return (len(self.batches) - first) * self.recipe.batch_size / (time.monotonic() - started)

    def _add_gradients(self, batch: int, content: object) -> tuple[Tensor, ...]:
        """Forward and backward on one batch; returns its losses."""
        epoch = self.position.epoch
        rng = random.Random(f"{self.recipe.seed}/{epoch}/batch {batch}")
        enabled = self.dtype != torch.float32
        with torch.autocast(self.process.device.type, self.dtype, enabled=enabled), FastDepthwise():
            losses = self.task.losses(self.shared, content, rng)  # type: ignore[arg-type]
        total = sum(losses)
        if not torch.isfinite(total):
            raise TrainingError(
                f"the loss is {total.item()} in epoch {epoch + 1}, batch {batch + 1}; a lower"
                " --learning-rate, or --precision fp32, may help. state.pth is from before it"
            )
        self.scaler.scale(total / self.recipe.accumulate).backward()
        return losses

    def _step(self, step: int) -> None:
        """Move the weights at the rate of ``step``, and the average after them."""
        factor = self.recipe.rate_at(step + 1, self.steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.network)

    def _is_measured(self, epoch: int) -> bool:
        number = epoch + 1
        return number % self.recipe.evaluate_every == 0 or number == self.recipe.epochs

    def _measure(self, progress: Progress) -> dict[str, float]:
        """Metrics of the averaged weights, which are saved if they are the best."""
        if not self.process.is_main:
            return {}
        bar = progress.add_task("evaluating", total=len(self.task.validation.photos))
        metrics = self.task.evaluate(self.average.network, lambda n: progress.advance(bar, n))
        progress.remove_task(bar)
        if metrics[self.task.metric] > self.best:
            self.best = metrics[self.task.metric]
            self._save_weights("best.pth")
        return metrics

    def _row(self, speed: float) -> dict[str, float]:
        means = {name: total / len(self.batches) for name, total in self.sums.items()}
        rate = self.optimizer.param_groups[0]["lr"]
        epoch = float(self.position.epoch + 1)
        return {"epoch": epoch, **means, "learning_rate": rate, "images_per_second": speed}

    def _no_losses(self) -> dict[str, float]:
        return dict.fromkeys(self.task.losses_named, 0.0)

    def _resume(self) -> None:
        state = load_state(self.recipe, self.output)
        if state is None:
            return
        self.network.load_state_dict(state.parts["network"])
        self.average.network.load_state_dict(state.parts["average"])
        self.average.updates = state.parts["updates"]
        self.optimizer.load_state_dict(state.parts["optimizer"])
        self.scaler.load_state_dict(state.parts["scaler"])
        if len(state.random) != self.process.world_size:
            raise CheckpointError(
                f"{self.output}: its state is of {len(state.random)} processes, this run has"
                f" {self.process.world_size}; start as many, or take another --output"
            )
        self.process.set_random_state(state.random[self.process.rank])
        self.position, self.best, self.sums = state.position, state.best, dict(state.sums)

    def _save(self) -> None:
        random = self.process.gather(self.process.random_state())
        if not self.process.is_main:
            return
        parts = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        state = TrainingState(self.position, self.best, self.sums, parts, random)
        save_state(state, self.recipe, self.output)
        self._save_weights("last.pth")

    def _save_weights(self, name: str) -> None:
        """The averaged weights, in a file that --weights and the export take."""
        state = {k: v.cpu() for k, v in self.average.network.state_dict().items()}
        checkpoint = Checkpoint(state, self.architecture, self.task.categories)
        save_checkpoint(checkpoint, self.output / name)


def describe(row: dict[str, float]) -> str:
    """A row of the log in one line."""
    figures = ", ".join(
        f"{name.replace('_', ' ')} {value:.4g}" for name, value in row.items() if name != "epoch"
    )
    return f"epoch {row['epoch']:.0f}: {figures}"
