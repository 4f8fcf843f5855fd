"""`python -m models.training`: train a detector or a classifier on photos of your own."""

import time
from dataclasses import asdict, fields, replace
from difflib import get_close_matches

import torch
import typer
from rich.markup import escape
from rich.progress import Progress
from torch import nn

from models.checkpoint_file import CheckpointError
from models.checkpoints import load_checkpoint
from models.training import options
from models.training.annotations.content import ClassFolders, DataError
from models.training.augment import Augment
from models.training.classification_task import ClassificationTask
from models.training.console import console, progress_bar, say
from models.training.data import Content, describe, read_data, unseen_classes
from models.training.dataset import training_side
from models.training.detection_task import SIZE_STEP, DetectionTask
from models.training.devices import Process, current_process
from models.training.features import FeatureCache
from models.training.freezing import frozen_layers
from models.training.loop import Trainer
from models.training.options import CLASSIFIERS_ONLY, DETECTORS_ONLY, VARYING_SIZE
from models.training.recipe import RECIPES, Recipe, TrainingError
from models.training.run_report import report_run
from models.training.settings import RunSettings, check_settings, save_settings
from models.variants import VARIANTS, Variant, at_size, find_variant
from models.weights import load_backbone, load_start
from service.imaging.files import PhotoError

app = typer.Typer(add_completion=False)

SMALL, PLAIN = RECIPES["small"], Augment()
HELP = (
    "Train a network; the best weights by AP, or top-1, end in OUTPUT/best.pth.\n\n"
    "The data is checked first: each missing or damaged photo, box outside its photo and unknown"
    " class is listed.\n\n"
    "Several GPUs: torchrun --nproc-per-node N -m models.training …"
)


@app.command(help=HELP)
def main(
    context: typer.Context,
    architecture: options.Architecture,
    data: options.Data,
    output: options.Output,
    images: options.Images = None,
    validation_share: options.ValidationShare = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    input_size: options.InputSize = None,
    skip_bad: options.SkipBad = False,
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
    given = {name for name in context.params if _is_given(context, name)}
    figures = {field.name for field in fields(Recipe)} & given
    plan = replace(RECIPES[recipe], **{name: context.params[name] for name in figures})
    of_views = {field.name for field in fields(Augment)} & context.params.keys()
    augment = Augment(**{name: context.params[name] for name in of_views})
    try:
        variant = find_trainable(architecture, input_size)
        process = current_process(device)
        _check_options(architecture, variant, plan, augment, views, process, given)
        content = read_data(data, images, validation_share, variant.task, skip_bad, process)
        _describe_data(process, *content)
        if check_only:
            return
        categories = content[0].categories
        torch.manual_seed(plan.seed)  # what no checkpoint fills starts at random
        network = variant.build(len(categories))
        for source, load in ((weights, load_start), (backbone, load_backbone)):
            if source is not None:
                recognised = load(network, load_checkpoint(source).state, str(source))
                say(process, f"started from {source}: {recognised}")
        settings = RunSettings(
            architecture,
            training_side(variant.input),
            tuple(name for _, name in categories),
            len(content[0].photos),
            asdict(augment),
            views,
        )
        check_settings(settings, output)
        output.mkdir(parents=True, exist_ok=True)
        with progress_bar(process) as progress:
            task = _make_task(network, variant, plan, process, content, augment)
            if views:
                _cache_features(task, views, workers, progress)
            trainer = Trainer(network, architecture, task, plan, process, output, workers)
            if process.is_main:
                save_settings(settings, output)
            started = time.monotonic()
            _announce(trainer)
            trainer.fit(progress)
        if process.is_main:
            report_run(trainer, time.monotonic() - started)
            _conclude(trainer, variant)
    except (CheckpointError, DataError, PhotoError, TrainingError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print("stopped; the same command goes on from the last state")
        raise typer.Exit(130) from error


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line; a default is not to change a recipe."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def find_trainable(architecture: str, input_size: int | None) -> Variant:
    """The row of ``architecture``, at ``input_size`` or its own. Raises TrainingError."""
    try:
        variant = find_variant(architecture)
    except KeyError:
        close = ", ".join(get_close_matches(architecture, VARIANTS, n=3))
        hint = f"did you mean {close}?" if close else "`python -m models` lists all"
        raise TrainingError(f"there is no {architecture}; {hint}") from None
    if architecture.startswith("fasterrcnn"):
        raise TrainingError(
            f"{architecture} can be exported, but not trained; choose a RetinaNet or EfficientDet"
        )
    if input_size is None and variant.input.varies:
        input_size = VARYING_SIZE
    return variant if input_size is None else at_size(variant, input_size)


def _check_options(
    architecture: str,
    variant: Variant,
    recipe: Recipe,
    augment: Augment,
    views: int,
    process: Process,
    given: set[str],
) -> None:
    """Raise TrainingError for what cannot be, or would be without effect."""
    other = DETECTORS_ONLY if variant.task == "classification" else CLASSIFIERS_ONLY
    for name in other:
        if name in given:
            option = f"--{name.replace('_', '-')}"
            raise TrainingError(f"{option} has no effect on a {variant.task} like {architecture}'s")
    if min(augment.scale) <= 0:
        raise TrainingError(f"--scale {min(augment.scale)}: a photo's size is more than 0")
    if training_side(variant.input) * min(recipe.multi_scale) < SIZE_STEP:
        raise TrainingError(
            f"--multi-scale {min(recipe.multi_scale)}: leaves less than {SIZE_STEP} pixels"
        )
    with torch.device("meta"):  # takes no time, no memory and no random numbers
        frozen_layers(variant.build(1), recipe.frozen_stages)
    if views and not recipe.frozen_stages:
        raise TrainingError("--views keeps what frozen stages give: say how many, --frozen-stages")
    if views and recipe.multi_scale != (1.0, 1.0):
        raise TrainingError("--views keeps what is computed at one size; leave --multi-scale out")
    if views and process.world_size > 1:
        raise TrainingError("--views is for one process; leave it out under torchrun")


def _make_task(
    network: nn.Module,
    variant: Variant,
    recipe: Recipe,
    process: Process,
    content: tuple[Content, Content],
    augment: Augment,
) -> DetectionTask | ClassificationTask:
    training, validation = content
    if isinstance(training, ClassFolders):
        return ClassificationTask(variant.input, recipe, process, training, validation)
    return DetectionTask(network, variant.input, recipe, process, training, validation, augment)


def _cache_features(task: DetectionTask, views: int, workers: int, progress: Progress) -> None:
    """Compute the frozen stages' output for ``views`` views of each photo."""
    task.network.to(task.process.device, memory_format=torch.channels_last).eval()
    cache = FeatureCache(views, len(task.photos), task.recipe.seed)
    bar = progress.add_task("frozen features", total=views * len(task.photos))
    cache.fill(task.photos, task.frozen_features, workers, lambda n: progress.advance(bar, n))
    progress.remove_task(bar)
    task.keep_features(cache)


def _describe_data(process: Process, training: Content, validation: Content) -> None:
    say(process, f"training on {describe(training)}, measuring on {describe(validation)}")
    unseen = unseen_classes(training)
    if unseen:
        say(process, f"no training photo shows {', '.join(unseen)}: it will not be learnt")


def _announce(trainer: Trainer) -> None:
    process, position = trainer.process, trainer.position
    processes = f", {process.world_size} processes" if process.world_size > 1 else ""
    precision = str(trainer.dtype).removeprefix("torch.")
    say(process, f"on {process.device}, {precision}{processes}")
    if position.epoch == trainer.recipe.epochs:
        say(process, f"all {position.epoch} epochs are done; only the report is written anew")
    elif position.epoch or position.batch:
        done = f"{position.batch} of {len(trainer.batches)} batches are done"
        say(process, f"going on in epoch {position.epoch + 1}, of which {done}")


def _conclude(trainer: Trainer, variant: Variant) -> None:
    """Say what there is, and what to do with it."""
    best = trainer.output / "best.pth"
    own = find_variant(trainer.architecture).input
    size = training_side(variant.input)
    option = f" --input-size {size}" if size != training_side(own) else ""
    say(trainer.process, f"best {trainer.task.metric} {trainer.best:.3f}; weights in {best},")
    say(trainer.process, f"report in {trainer.output / 'report.html'}. To make it a model package:")
    say(
        trainer.process,
        f"  python -m export create {trainer.architecture}{option} --weights {best}"
        " --output my_models/NAME/1",
    )


if __name__ == "__main__":
    app()
