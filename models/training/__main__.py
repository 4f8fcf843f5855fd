"""`python -m models.training`: train a detector on photos with boxes."""

import random
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.data import DataLoader

from models.training.augment import Augment
from models.training.dataset import CocoAnnotations, DetectionDataset, collate
from models.training.features import FeatureCache, collate_features
from models.training.loop import Recipe, Trainer
from models.variants import VARIANTS
from models.weights import CheckpointError, load_backbone, load_checkpoint, load_into

console = Console(stderr=True)

# One-stage detectors on a square input, whose backbones can be frozen by stage.
TRAINABLE = [
    name
    for name, row in VARIANTS.items()
    if row.task == "detection" and row.input.resize == "letterbox"
]

app = typer.Typer(add_completion=False)


@app.command()
def main(
    architecture: Annotated[str, typer.Argument(help="A detector, such as efficientdet_lite0.")],
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with instances_train.json and instances_val.json (COCO format) and the"
            " photos in train/ and val/.",
            exists=True,
            file_okay=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for best.pth and log.csv.")],
    backbone: Annotated[
        Path | None, typer.Option(help="Classifier checkpoint to start the backbone from.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Detector checkpoint to go on from, instead of --backbone.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 40,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[
        float, typer.Option(help="At the peak, for pyramid and heads.")
    ] = 1.5e-3,
    frozen_stages: Annotated[
        int,
        typer.Option(
            min=0,
            max=7,
            help="Backbone stages left as they are; their features are computed once. 0 trains"
            " everything, with a fresh augmentation of each photo at each step.",
        ),
    ] = 3,
    views: Annotated[
        int, typer.Option(min=1, help="Augmented views of each photo whose features are kept.")
    ] = 8,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load photos.")] = 2,
    seed: int = 0,
) -> None:
    """Train a detector; the best weights by AP on the validation photos end in OUTPUT/best.pth."""
    if architecture not in TRAINABLE:
        raise typer.BadParameter(
            f"{architecture} cannot be trained; choose of {', '.join(TRAINABLE)}"
        )
    random.seed(seed)
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    variant = VARIANTS[architecture]
    training = CocoAnnotations.read(data / "instances_train.json", data / "train")
    validation = CocoAnnotations.read(data / "instances_val.json", data / "val")
    network = variant.build(len(training.categories))
    try:
        if weights is not None:
            load_into(network, load_checkpoint(weights).state, str(weights))
        elif backbone is not None:
            load_backbone(network, load_checkpoint(backbone).state, str(backbone))
    except CheckpointError as error:
        console.print(f"[red]error:[/] {error}")
        raise typer.Exit(1) from error

    output.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(epochs, batch_size, learning_rate, frozen_stages=frozen_stages)
    trainer = Trainer(
        network,
        architecture,
        variant.input,
        recipe,
        validation,
        data / "instances_val.json",
        output,
    )
    dataset = DetectionDataset(training.photos, variant.input.height, Augment())
    with progress_bar() as progress:
        if frozen_stages:
            dataset = cache_features(trainer, dataset, views, workers, progress)
        loader = DataLoader(
            dataset,
            batch_size,
            shuffle=True,
            drop_last=True,
            collate_fn=collate_features if frozen_stages else collate,
            num_workers=0 if frozen_stages else workers,
            persistent_workers=workers > 0 and not frozen_stages,
        )
        trainer.fit(loader, progress)
    console.print(f"best AP {trainer.best:.3f}; weights in {output / 'best.pth'}")


def cache_features(
    trainer: Trainer, dataset: DetectionDataset, views: int, workers: int, progress: Progress
) -> FeatureCache:
    """The frozen stages' output for ``views`` augmented views of each photo."""
    cache = FeatureCache(views, len(dataset))
    loader = DataLoader(dataset, 32, collate_fn=collate, num_workers=workers)
    trainer.network.eval()
    task = progress.add_task("frozen features", total=views * len(dataset))
    for _ in range(views):
        for images, boxes, labels in loader:
            cache.add(trainer.frozen_features(images), boxes, labels)
            progress.advance(task, len(images))
    progress.remove_task(task)
    return cache


def progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


if __name__ == "__main__":
    app()
