"""`python -m models.training`: train a detector or a classifier on photos of your own.

What takes long to import, PyTorch above all, is imported when the options are read.
"""

from dataclasses import fields, replace
from pathlib import Path

import typer

from models.training import options
from models.training.autoencoder.command import HELP as AUTOENCODER_HELP
from models.training.autoencoder.command import autoencoder
from models.training.head.command import HELP as HEAD_HELP
from models.training.head.command import head
from models.training.recipe import RECIPES, Augmentation, Recipe

NETWORK = "network"  # the command that is meant where none is named


class _Commands(typer.core.TyperGroup):
    """What begins with the name of no command is an architecture, and its options."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        named = args and args[0] in self.commands
        return super().parse_args(ctx, args if named else [NETWORK, *args])


app = typer.Typer(add_completion=False, cls=_Commands)
app.command("head", help=HEAD_HELP)(head)
app.command("autoencoder", help=AUTOENCODER_HELP)(autoencoder)

SMALL, PLAIN = RECIPES["small"], Augmentation()
HELP = (
    "Train a network; the best weights by AP, or top-1, end in OUTPUT/best.pth.\n\n"
    "The data is checked first: each missing or damaged photo, box outside its photo and unknown"
    " class is listed.\n\n"
    "Several GPUs: torchrun --nproc-per-node N -m models.training …\n\n"
    "Few photos, or no time: python -m models.training head --help\n\n"
    "What tells photos that a model has not seen: python -m models.training autoencoder --help"
)


@app.command(NETWORK, help=HELP)
def main(
    context: typer.Context,
    architecture: options.Architecture,
    output: options.Output,
    data: options.Data = None,
    train: options.Train = None,
    val: options.Val = None,
    images: options.Images = None,
    validation_share: options.ValidationShare = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    input_size: options.InputSize = None,
    skip_bad: options.SkipBad = False,
    clip_boxes: options.ClipBoxes = False,
    teacher: options.Teacher = "",
    pseudo_labels: options.PseudoLabels = None,
    distill: options.Distill = 0.0,
    check_only: options.CheckOnly = False,
    workers: options.Workers = 2,
    device: options.Device = None,
    recipe: options.RecipeName = "small",
    epochs: options.Epochs = SMALL.epochs,
    batch_size: options.BatchSize = SMALL.batch_size,
    accumulate: options.Accumulate = SMALL.accumulate,
    optimizer: options.Optimizer = SMALL.optimizer,
    learning_rate: options.LearningRate = SMALL.learning_rate,
    backbone_rate: options.BackboneRate = SMALL.backbone_rate,
    weight_decay: options.WeightDecay = SMALL.weight_decay,
    frozen_stages: options.FrozenStages = SMALL.frozen_stages,
    frozen_detector: options.FrozenDetector = SMALL.frozen_detector,
    class_loss: options.ClassLoss = SMALL.class_loss,
    box_loss: options.BoxLoss = SMALL.box_loss,
    precision: options.Precision = SMALL.precision,
    label_smoothing: options.LabelSmoothing = SMALL.label_smoothing,
    evaluate_every: options.EvaluateEvery = SMALL.evaluate_every,
    seed: options.Seed = SMALL.seed,
    deterministic: options.Deterministic = SMALL.deterministic,
    multi_scale: options.MultiScale = SMALL.multi_scale,
    scale: options.Scale = PLAIN.scale,
    aspect: options.Aspect = PLAIN.aspect,
    rotation: options.Rotation = PLAIN.rotation,
    flip: options.Flip = PLAIN.flip,
    lighting: options.Lighting = PLAIN.lighting,
    noise: options.Noise = PLAIN.noise,
    mosaic: options.Mosaic = PLAIN.mosaic,
    mixup: options.Mixup = PLAIN.mixup,
    views: options.Views = 0,
) -> None:
    from models.training.console import one_line_errors
    from models.training.run import TrainingJob, run

    given = {name for name in context.params if _is_given(context, name)}
    figures = {field.name for field in fields(Recipe)} & given
    of_views = {field.name for field in fields(Augmentation)} & context.params.keys()
    job = TrainingJob(
        architecture=architecture,
        data=data,
        train=train,
        val=val,
        output=output,
        images=images,
        validation_share=validation_share,
        backbone=backbone,
        weights=weights,
        input_size=input_size,
        skip_bad=skip_bad,
        clip_boxes=clip_boxes,
        teacher=tuple(map(Path, filter(None, teacher.split(",")))),
        pseudo_labels=pseudo_labels,
        distill=distill,
        check_only=check_only,
        workers=workers,
        device=device,
        recipe=replace(RECIPES[recipe], **{name: context.params[name] for name in figures}),
        augmentation=Augmentation(**{name: context.params[name] for name in of_views}),
        views=views,
        given=frozenset(given),
    )
    with one_line_errors("stopped; the same command goes on from the last state"):
        run(job)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line; a default is not to change a recipe."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


if __name__ == "__main__":
    app()
