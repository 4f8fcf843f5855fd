"""Options of `export create` for what a model was trained with, see `export.settings`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

GROUP = "What the model was trained with, where it is not the architecture's own"
Channels = tuple[float, float, float]

Mean = Annotated[
    Channels | None,
    typer.Option(
        help="Of the channels, at pixels from 0 to 1.", show_default=False, rich_help_panel=GROUP
    ),
]
Std = Annotated[
    Channels | None,
    typer.Option(
        help="What they are divided by after it.", show_default=False, rich_help_panel=GROUP
    ),
]
Resize = Annotated[
    Literal["letterbox", "shorter_side", "stretch", "centre_crop"] | None,
    typer.Option(
        help="How a photo becomes the input, see docs/packages.md.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
ShorterSide = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Pixels of a photo's shorter side after scaling.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
LongerSide = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Pixels of its longer side at most.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
Interpolation = Annotated[
    Literal["bilinear", "bicubic"] | None,
    typer.Option(help="Of the resize.", show_default=False, rich_help_panel=GROUP),
]
Antialias = Annotated[
    bool | None,
    typer.Option(
        help="Whether a photo that is made smaller is smoothed.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
AnchorSizes = Annotated[
    str | None,
    typer.Option(
        help='Anchors\' sides in pixels, by level: "16,20,25 32,40,50 …".',
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
AspectRatios = Annotated[
    str | None,
    typer.Option(
        help='Anchors\' height by width: "0.5 1 2"; or width and height as multiples of the side:'
        ' "1x1 1.4x0.7".',
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Of a request that states none.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
IouThreshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Above which one box suppresses another, unless a request says otherwise.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
MaxDetections = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1000,
        help="Of a photo, unless a request says otherwise.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
Activation = Annotated[
    Literal["softmax", "sigmoid"] | None,
    typer.Option(
        help="Of a classifier: shares of one, or a probability for each class.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
Padding = Annotated[
    Literal["same", "symmetric"] | None,
    typer.Option(
        help="Which of tf_efficientnet_b0 (same) and efficientnet_b0 the weights are of, where the"
        " file does not say.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--input",
        help="TOML file with these settings; beside them scale, channel_order, fill, anchor and"
        " divisor.",
        show_default=False,
        rich_help_panel=GROUP,
    ),
]
