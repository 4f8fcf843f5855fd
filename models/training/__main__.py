"""`python -m models.training`: train a detector or a classifier on photos of your own."""

import platform
import time
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.data import DataLoader

from models.training.annotations import (
    Annotations,
    ClassFolders,
    DataError,
    Fault,
    read_class_folders,
    read_coco,
    read_voc,
)
from models.training.augment import Augment
from models.training.check import check_class_photos, check_photos
from models.training.classification_task import ClassificationTask
from models.training.dataset import collate
from models.training.detection_task import DetectionTask
from models.training.devices import Place, find_place
from models.training.features import FeatureCache
from models.training.loop import Trainer, TrainingError
from models.training.recipe import RECIPES, Recipe
from models.training.report import classification_report, detection_report, write_report
from models.training.run_log import read_rows
from models.variants import VARIANTS, Variant, at_size, find_variant
from models.weights import CheckpointError, load_backbone, load_checkpoint, load_into

console = Console(stderr=True)
app = typer.Typer(add_completion=False)

# Detectors on a square input; classifiers, all of them.
TRAINABLE = [
    name
    for name, row in VARIANTS.items()
    if row.input.resize in ("letterbox", "centre_crop") and not name.startswith("fasterrcnn")
]


@app.command()
def main(
    context: typer.Context,
    architecture: Annotated[
        str,
        typer.Argument(
            help="Such as efficientdet_lite0 or resnet18; `python -m models` lists them. +groupnorm"
            " gives a detector group norms, +bilinear a classifier a bilinear head.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Photos. For a detector, COCO (instances_train.json, instances_val.json, photos in"
            " train/ and val/) or VOC (Annotations/, JPEGImages/, ImageSets/Main/train.txt and"
            " val.txt). For a classifier, train/ and val/, each with a folder for every class.",
            exists=True,
            file_okay=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="Folder for best.pth, log.csv, report.html. A run that was interrupted goes on"
            " from there: give the same command again."
        ),
    ],
    backbone: Annotated[
        Path | None, typer.Option(help="Classifier checkpoint to start the backbone from.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of the same architecture to start from.")
    ] = None,
    recipe: Annotated[
        Literal["paper", "small"],
        typer.Option(
            help="paper: EfficientDet's, for hundreds of epochs. small: AdamW, for a few thousand"
            " photos and pretrained weights. The options below change single figures of it."
        ),
    ] = "small",
    epochs: Annotated[int, typer.Option(min=1)] = 40,
    batch_size: Annotated[int, typer.Option(min=1, help="On all devices together.")] = 32,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Batches whose gradients make up one step.")
    ] = 1,
    optimizer: Annotated[Literal["sgd", "adamw"], typer.Option()] = "adamw",
    learning_rate: Annotated[
        float, typer.Option(help="At the peak, for a batch of 128; smaller ones have less.")
    ] = 6e-3,
    backbone_rate: Annotated[float, typer.Option(help="The backbone's share of it.")] = 0.2,
    weight_decay: Annotated[float, typer.Option()] = 1e-2,
    frozen_stages: Annotated[
        int,
        typer.Option(
            min=0,
            max=7,
            help="Leading stages of an EfficientNet backbone that are left as they are.",
        ),
    ] = 0,
    class_loss: Annotated[
        Literal["focal", "ohem"],
        typer.Option(help="ohem: cross-entropy of the objects and of the worst background."),
    ] = "focal",
    box_loss: Annotated[Literal["huber", "smooth_l1"], typer.Option()] = "huber",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="Of convolutions. auto takes bf16 where the hardware has it."),
    ] = "auto",
    label_smoothing: Annotated[float, typer.Option(min=0, max=0.5)] = 0.0,
    evaluate_every: Annotated[int, typer.Option(min=1, help="Epochs.")] = 5,
    seed: int = 0,
    deterministic: Annotated[
        bool, typer.Option(help="The same seed gives the same weights, bit by bit.")
    ] = False,
    scale: Annotated[
        tuple[float, float], typer.Option(help="Range of the photo's size in a view.")
    ] = (0.6, 1.8),
    rotation: Annotated[float, typer.Option(min=0, help="Degrees, either way.")] = 0.0,
    lighting: Annotated[float, typer.Option(min=0, help="PCA jitter; AlexNet's is .1.")] = 0.0,
    noise: Annotated[float, typer.Option(min=0, help="Grey levels, at most.")] = 0.0,
    mosaic: Annotated[float, typer.Option(min=0, max=1, help="Share of views of four.")] = 0.0,
    mixup: Annotated[float, typer.Option(min=0, max=1, help="Share of blended views.")] = 0.0,
    multi_scale: Annotated[
        tuple[float, float], typer.Option(help="Range of the input's size, each batch its own.")
    ] = (1.0, 1.0),
    views: Annotated[
        int,
        typer.Option(
            min=0,
            help="With frozen stages: compute their output once, for so many views of each photo,"
            " and keep it in memory. 0 makes a fresh view at each step.",
        ),
    ] = 0,
    input_size: Annotated[
        int | None, typer.Option(min=64, help="Where it is not to be the architecture's own.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load photos.")] = 2,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU is taken if there is one.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option(help="Leave out what the check of the data finds wrong, and go on.")
    ] = False,
    check_only: Annotated[bool, typer.Option(help="Check the data, and stop.")] = False,
) -> None:
    """Train a network; the best weights by AP, or top-1, end in OUTPUT/best.pth.

    The data is checked first: each missing or damaged photo, box outside its photo and unknown
    class is listed. Several GPUs: torchrun --nproc-per-node N -m models.training …
    """
    given = {
        field.name: context.params[field.name]
        for field in fields(Recipe)
        if field.name in context.params and _is_given(context, field.name)
    }
    plan = replace(RECIPES[recipe], **given)
    augment = Augment(
        scale=scale,
        rotation=rotation,
        lighting=lighting,
        noise=noise,
        mosaic=mosaic,
        mixup=mixup,
    )
    try:
        variant = _find_variant(architecture, input_size)
        place = find_place(device)
        training, validation = _read_data(data, variant, skip_bad, place)
        if check_only:
            return
        torch.manual_seed(plan.seed)  # what no checkpoint fills starts at random
        network = variant.build(len(training.categories))
        for source, load in ((weights, load_into), (backbone, load_backbone)):
            if source is not None:
                recognised = load(network, load_checkpoint(source).state, str(source))
                _say(place, f"started from {source}: {recognised}")
        output.mkdir(parents=True, exist_ok=True)
        with _progress_bar(place) as progress:
            task = _make_task(network, variant, plan, place, training, validation, augment)
            if views and plan.frozen_stages and isinstance(task, DetectionTask):
                _cache_features(task, plan, views, workers, progress)
            trainer = Trainer(network, architecture, task, plan, place, output, workers)
            started = time.monotonic()
            _announce(trainer, place)
            trainer.fit(progress)
        if place.leads:
            seconds = time.monotonic() - started
            _report(trainer, network, architecture, plan, output, seconds)
    except (CheckpointError, DataError, TrainingError, ValueError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print("stopped; the same command goes on from the last state")
        raise typer.Exit(130) from error


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line; a default is not to change a recipe."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _find_variant(architecture: str, input_size: int | None) -> Variant:
    if architecture.partition("+")[0] not in TRAINABLE:
        raise TrainingError(f"{architecture} cannot be trained; choose of {', '.join(TRAINABLE)}")
    try:
        variant = find_variant(architecture)
    except KeyError:
        raise TrainingError(f"there is no {architecture}") from None
    return variant if input_size is None else at_size(variant, input_size)


def _read_data(
    data: Path, variant: Variant, skip_bad: bool, place: Place
) -> tuple[Annotations, Annotations] | tuple[ClassFolders, ClassFolders]:
    """Training and validation photos that are sound; raises DataError."""
    splits = []
    faults: list[Fault] = []
    categories = None
    with _progress_bar(place) as progress:
        for split in ("train", "val"):
            reading = _read_split(data, variant, split, categories)
            bar = progress.add_task(f"checking {split}", total=len(reading.annotations.photos))

            def on_progress(done: int, total: int, bar: object = bar) -> None:
                progress.update(bar, completed=done, total=total)  # type: ignore[arg-type]

            check: Callable[..., tuple[object, list[Fault]]] = (
                check_photos if variant.task == "detection" else check_class_photos
            )
            sound, found = check(reading.annotations, on_progress)
            faults += [*reading.faults, *found]
            splits.append(sound)
            categories = reading.annotations.categories
            progress.remove_task(bar)
    if place.leads:
        _list_faults(faults)
    if faults and not skip_bad:
        raise DataError(f"{data}: {len(faults)} faults; mend them, or leave them out: --skip-bad")
    if not all(split.photos for split in splits):
        raise DataError(f"{data}: no photo is left in train or val")
    return splits[0], splits[1]


def _read_split(data: Path, variant: Variant, split: str, categories: object) -> object:
    if variant.task == "classification":
        return read_class_folders(data / split, categories)
    if (data / "ImageSets").is_dir():
        return read_voc(data, split, categories=categories)
    return read_coco(data / f"instances_{split}.json", data / split, categories)


def _list_faults(faults: list[Fault]) -> None:
    for fault in faults:
        console.print(f"[yellow]{fault.kind}[/] {escape(str(fault))}", soft_wrap=True)


def _make_task(
    network: torch.nn.Module,
    variant: Variant,
    recipe: Recipe,
    place: Place,
    training: Annotations | ClassFolders,
    validation: Annotations | ClassFolders,
    augment: Augment,
) -> DetectionTask | ClassificationTask:
    if isinstance(training, ClassFolders):
        return ClassificationTask(variant.input, recipe, place, training, validation)
    return DetectionTask(network, variant.input, recipe, place, training, validation, augment)


def _cache_features(
    task: DetectionTask, recipe: Recipe, views: int, workers: int, progress: Progress
) -> None:
    """Compute the frozen stages' output for ``views`` views of each photo."""
    task.network.to(task.place.device, memory_format=torch.channels_last).eval()
    photos = task.photos
    cache = FeatureCache(views, len(photos), recipe.seed)
    bar = progress.add_task("frozen features", total=views * len(photos))
    loader = DataLoader(photos, 32, collate_fn=collate, num_workers=workers)
    for view in range(views):
        photos.set_epoch(view)
        for images, boxes, labels in loader:
            cache.add(task.frozen_features(images), boxes, labels)
            progress.advance(bar, len(images))
    progress.remove_task(bar)
    task.keep_features(cache)


def _announce(trainer: Trainer, place: Place) -> None:
    position = trainer.position
    precision = str(trainer.dtype).removeprefix("torch.")
    where = f"{place.device}, {precision}" + (
        f", {place.processes} processes" if place.processes > 1 else ""
    )
    if position.epoch or position.batch:
        _say(place, f"going on in epoch {position.epoch + 1}, batch {position.batch + 1}")
    _say(place, f"training on {len(trainer.task.photos)} photos, on {where}")


def _report(
    trainer: Trainer,
    network: torch.nn.Module,
    architecture: str,
    recipe: Recipe,
    output: Path,
    seconds: float,
) -> None:
    """Write report.html from the best weights."""
    task = trainer.task
    load_into(network, load_checkpoint(output / "best.pth").state, str(output / "best.pth"))
    network.eval()
    about = {
        "architecture": architecture,
        "classes": str(len(task.categories)),
        "training photos": str(len(task.photos)),
        "validation photos": str(task.validation_size),
        "device": _device_name(trainer.place),
        "precision": str(trainer.dtype).removeprefix("torch."),
        "time of the last run": f"{seconds / 60:.0f} minutes",
        "PyTorch": version("torch"),
    }
    settings = {f.name.replace("_", " "): str(getattr(recipe, f.name)) for f in fields(recipe)}
    log = read_rows(output / "log.csv")
    title = f"Training of {architecture}"
    with _progress_bar(trainer.place) as progress:
        bar = progress.add_task("report", total=task.validation_size)
        if isinstance(task, DetectionTask):
            rows = task.detect(network, lambda n: progress.advance(bar, n))
            paths = {photo.image_id: photo.path for photo in task.validation.photos}
            report = detection_report(
                task.truth, rows, paths.__getitem__, log, about, recipe=settings, title=title
            )
        else:
            photos = task.validation.photos
            report = classification_report(
                [name for _, name in task.categories],
                task.predict(network, lambda n: progress.advance(bar, n)),
                [photo.label for photo in photos],
                [photo.path for photo in photos],
                log,
                about,
                recipe=settings,
                title=title,
            )
    write_report(output / "report.html", report)
    figure = task.figure
    _say(trainer.place, f"best {figure} {trainer.best:.3f}; weights in {output / 'best.pth'},")
    _say(trainer.place, f"report in {output / 'report.html'}")


def _device_name(place: Place) -> str:
    if place.device.type == "cuda":
        return f"{place.processes} x {torch.cuda.get_device_name(place.device)}"
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def _say(place: Place, text: str) -> None:
    if place.leads:
        console.print(text, highlight=False, soft_wrap=True)


def _progress_bar(place: Place) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not place.leads,
    )


if __name__ == "__main__":
    app()
