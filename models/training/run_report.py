"""The report of a finished run, from its best weights."""

import platform
from dataclasses import fields
from importlib.metadata import version

import torch

from models.checkpoints import load_checkpoint
from models.training.console import progress_bar
from models.training.detection_task import DetectionTask
from models.training.devices import Process
from models.training.loop import Trainer
from models.training.report import (
    TrainingReport,
    judge_classifications,
    judge_detections,
    write_report,
)
from models.training.run_log import read_rows
from models.weights import load_into


def report_run(trainer: Trainer, seconds: float) -> None:
    """Write report.html into the run's output. seconds: that the run took since it last began."""
    best = trainer.output / "best.pth"
    load_into(trainer.network, load_checkpoint(best).state, str(best))
    trainer.network.eval()
    write_report(trainer.output / "report.html", _report(trainer, seconds))


def _report(trainer: Trainer, seconds: float) -> TrainingReport:
    task, photos, recipe = trainer.task, trainer.task.validation.photos, trainer.recipe
    with progress_bar(trainer.process) as progress:
        bar = progress.add_task("report", total=len(photos))

        def advance(number: int) -> None:
            progress.advance(bar, number)

        if isinstance(task, DetectionTask):
            paths = {photo.image_id: photo.path for photo in photos}
            rows = task.detect(trainer.network, advance)
            judged = judge_detections(task.truth, rows, paths.__getitem__)
        else:
            judged = judge_classifications(
                [name for _, name in task.categories],
                task.predict(trainer.network, advance),
                [photo.label for photo in photos],
                [photo.path for photo in photos],
            )
    return TrainingReport(
        f"Training of {trainer.architecture}",
        _about(trainer, seconds),
        {f.name.replace("_", " "): str(getattr(recipe, f.name)) for f in fields(recipe)},
        read_rows(trainer.output / "log.csv"),
        *judged,
    )


def _about(trainer: Trainer, seconds: float) -> dict[str, str]:
    task = trainer.task
    return {
        "architecture": trainer.architecture,
        "classes": str(len(task.categories)),
        "training photos": str(len(task.photos)),
        "validation photos": str(len(task.validation.photos)),
        "device": _device_name(trainer.process),
        "precision": str(trainer.dtype).removeprefix("torch."),
        "time of the last run": f"{seconds / 60:.0f} minutes",
        "PyTorch": version("torch"),
    }


def _device_name(process: Process) -> str:
    if process.device.type == "cuda":
        return f"{process.world_size} x {torch.cuda.get_device_name(process.device)}"
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
