"""The options of `python -m models.training`, each with its help."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from models.training.recipe import RECIPES

VARYING_SIZE = 512  # pixels; the 800 of inputs that vary in size make training slow

DETECTORS_ONLY = (
    *(
        "train",
        "val",
        "images",
        "clip_boxes",
        "teacher",
        "pseudo_labels",
        "distill",
        "class_loss",
        "box_loss",
        "frozen_detector",
        "multi_scale",
        "scale",
        "aspect",
        "rotation",
        "flip",
    ),
    *("lighting", "noise", "mosaic", "mixup", "views"),
)
CLASSIFIERS_ONLY = ("label_smoothing",)

RECIPE_PANEL, VIEWS_PANEL = "The recipe, and single figures of it", "Views of a training photo"
TEACHER_PANEL = "A teacher"
SMALL = RECIPES["small"]


def of_recipe(name: str, text: str = "", metavar: str = "N", **bounds: float) -> Any:
    """An option for one figure of a recipe, whose default is the recipe's."""
    small, paper = (_shown(getattr(RECIPES[recipe], name)) for recipe in ("small", "paper"))
    default = f"Default {small}." if small == paper else f"Default {small}, or the paper's {paper}."
    return typer.Option(
        help=f"{text} {default}".strip(),
        show_default=False,
        rich_help_panel=RECIPE_PANEL,
        metavar=metavar,
        **bounds,
    )


def of_views(name: str, text: str, metavar: str = "X", **bounds: float) -> Any:
    """An option for how training photos vary."""
    return typer.Option(
        f"--{name}", help=text, rich_help_panel=VIEWS_PANEL, metavar=metavar, **bounds
    )


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


Architecture = Annotated[
    str,
    typer.Argument(
        help="Such as efficientdet_lite0, retinanet_resnet18_fpn or resnet18; `python -m models`"
        " lists them. +groupnorm gives a detector group norms, +snake outlines, +bilinear a"
        " classifier a bilinear head.",
        metavar="ARCHITECTURE",
        show_default=False,
    ),
]

# what is trained on, from what, and where to

Data = Annotated[
    Path | None,
    typer.Option(
        help="Photos with what they show: the folder of a data set, data.yaml of YOLO, or a COCO"
        " file. docs/training.md lists the layouts that are read. A classifier's has train/ and"
        " val/, each with a folder for every class.",
        exists=True,
        metavar="PATH",
    ),
]
Train = Annotated[
    Path | None,
    typer.Option(help="In place of --data, a COCO file to train on.", exists=True, metavar="FILE"),
]
Val = Annotated[
    Path | None,
    typer.Option(help="With --train, a COCO file to measure on.", exists=True, metavar="FILE"),
]
Output = Annotated[
    Path,
    typer.Option(
        help="Folder for best.pth, log.csv and report.html. An interrupted run goes on from there:"
        " give the same command again.",
        file_okay=False,
        metavar="DIR",
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="The photos of COCO files that are named, if not beside them.",
        exists=True,
        file_okay=False,
        metavar="DIR",
    ),
]
ValidationShare = Annotated[
    float | None,
    typer.Option(
        help="Where nothing says what to measure on: share of the photos to hold out for it, such"
        " as 0.1. Which ones follows from their names, the same in every run.",
        min=0.01,
        max=0.5,
        metavar="X",
    ),
]
Backbone = Annotated[
    Path | None,
    typer.Option(help="Classifier's checkpoint to start the backbone from.", metavar="FILE"),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint of the same architecture to start from, of these or other classes.",
        metavar="FILE",
    ),
]
InputSize = Annotated[
    int | None,
    typer.Option(
        help="Side of the input in pixels, where it is not to be the architecture's own. Of"
        " torchvision's RetinaNets, whose inputs vary, the shorter side, and of the square views;"
        f" {VARYING_SIZE} if not given. Export with the same.",
        min=64,
        metavar="N",
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out what the check of the data finds wrong.")
]
ClipBoxes = Annotated[
    bool,
    typer.Option(
        "--clip-boxes", help="Clip boxes at the edge of their photo; else those beyond are faults."
    ),
]
CheckOnly = Annotated[bool, typer.Option("--check-only", help="Check the data, and stop.")]
Workers = Annotated[int, typer.Option(help="Processes that load photos.", min=0, metavar="N")]
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda; a GPU is taken if there is one.", metavar="NAME")
]

# a teacher

Teacher = Annotated[
    str,
    typer.Option(
        help="Model packages of detectors that know some of the classes, adopted ones among them."
        " What they find beside the annotated boxes is learned where they are sure, and not"
        " punished where they are not.",
        rich_help_panel=TEACHER_PANEL,
        metavar="PACKAGE,…",
        show_default=False,
    ),
]
PseudoLabels = Annotated[
    Path | None,
    typer.Option(
        help="COCO file of what a teacher finds, with scores: written with --teacher, once; read"
        " alone without. Default: OUTPUT/pseudo_labels.json.",
        rich_help_panel=TEACHER_PANEL,
        dir_okay=False,
        metavar="FILE",
        show_default=False,
    ),
]
Distill = Annotated[
    float,
    typer.Option(
        help="How far the targets of objects follow the teacher's judgement of them: at 0 all are"
        " 1, at .5 that of an object which it does not find is .5.",
        rich_help_panel=TEACHER_PANEL,
        min=0,
        max=0.9,
        metavar="X",
    ),
]

# the recipe

RecipeName = Annotated[
    Literal["paper", "small"],
    typer.Option(
        help="paper: EfficientDet's, for hundreds of epochs. small: AdamW, for a few thousand"
        " photos and pretrained weights.",
        rich_help_panel=RECIPE_PANEL,
    ),
]
Epochs = Annotated[int, of_recipe("epochs", min=1)]
BatchSize = Annotated[int, of_recipe("batch_size", "On all devices together.", min=1)]
Accumulate = Annotated[
    int, of_recipe("accumulate", "Batches whose gradients make up one step.", min=1)
]
Optimizer = Annotated[Literal["sgd", "adamw"], of_recipe("optimizer", metavar="sgd|adamw")]
LearningRate = Annotated[
    float,
    of_recipe("learning_rate", "At the peak, for a batch of 128; smaller ones have less.", "X"),
]
BackboneRate = Annotated[float, of_recipe("backbone_rate", "The backbone's share of it.", "X")]
WeightDecay = Annotated[float, of_recipe("weight_decay", metavar="X")]
FrozenStages = Annotated[
    int,
    of_recipe(
        "frozen_stages",
        "Leave the stem and so many stages of the backbone as they are: of 7 of an EfficientNet, of"
        " 4 of a ResNet.",
        min=0,
    ),
]
FrozenDetector = Annotated[
    bool,
    typer.Option(
        "--frozen-detector",
        help="Of a detector with +snake, leave all but the snake as it is: what is learned is to"
        " outline what it finds.",
        rich_help_panel=RECIPE_PANEL,
    ),
]
ClassLoss = Annotated[
    Literal["focal", "ohem"],
    of_recipe(
        "class_loss",
        "ohem: cross-entropy of the objects and of the worst background.",
        "focal|ohem",
    ),
]
BoxLoss = Annotated[Literal["huber", "smooth_l1"], of_recipe("box_loss", metavar="huber|smooth_l1")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    of_recipe(
        "precision",
        "Of convolutions. auto takes bf16 where the hardware has it.",
        "auto|fp32|bf16|fp16",
    ),
]
LabelSmoothing = Annotated[
    float, of_recipe("label_smoothing", "Of a classifier.", "X", min=0, max=0.5)
]
EvaluateEvery = Annotated[
    int, of_recipe("evaluate_every", "Epochs between two measurements.", min=1)
]
Seed = Annotated[int, of_recipe("seed")]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="The same seed gives the same weights, bit by bit.",
        rich_help_panel=RECIPE_PANEL,
    ),
]
MultiScale = Annotated[
    tuple[float, float],
    of_recipe("multi_scale", "Range of the input's size, each batch its own.", "X X"),
]

# views of a training photo

Scale = Annotated[
    tuple[float, float],
    of_views("scale", "Range of the photo's size, which at 1 is the service's.", "X X"),
]
Aspect = Annotated[
    float, of_views("aspect", "Stretched by up to this share, either way.", min=0, max=1)
]
Rotation = Annotated[float, of_views("rotation", "Degrees, either way.", min=0)]
Flip = Annotated[float, of_views("flip", "Share that is mirrored, left to right.", min=0, max=1)]
Lighting = Annotated[float, of_views("lighting", "PCA jitter; AlexNet's is .1.", min=0)]
Noise = Annotated[float, of_views("noise", "Grey levels, at most.", min=0)]
Mosaic = Annotated[float, of_views("mosaic", "Share of views of four.", min=0, max=1)]
Mixup = Annotated[float, of_views("mixup", "Share of blended views.", min=0, max=1)]
Views = Annotated[
    int,
    of_views(
        "views",
        "With frozen stages: compute their output once, for so many views of each photo, and keep"
        " it in memory. 0 makes a fresh view at each step.",
        "N",
        min=0,
    ),
]
