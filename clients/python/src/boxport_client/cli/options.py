"""Arguments and options that several commands share.

Typer reads these types at run time, so they are written as Python 3.9 has them.
"""

from typing import Annotated, Optional

import typer

from boxport_client.cli.completion import model_names

SERVICE = "Service"
OUTPUT = "Output"
QUESTION = "What is asked"

Photos = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTOS...",
        help="Files, folders (with all folders in them), globs in quotes, http(s) URLs that the"
        " service may fetch, or - for a photo on standard input.",
        show_default=False,
    ),
]
Url = Annotated[
    Optional[str],
    typer.Option(
        "--url",
        metavar="URL",
        help="Address of the service. Else BOXPORT_URL, then the configuration, then"
        " http://localhost:3000.",
        show_default=False,
        rich_help_panel=SERVICE,
    ),
]
ApiKey = Annotated[
    Optional[str],
    typer.Option(
        "--api-key",
        metavar="KEY",
        help="Key for the service. Others on this machine can see it on the command line:"
        " BOXPORT_API_KEY or the configuration are safer.",
        show_default=False,
        rich_help_panel=SERVICE,
    ),
]
Profile = Annotated[
    Optional[str],
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Profile of the configuration to take address and key from, before the environment.",
        show_default=False,
        rich_help_panel=SERVICE,
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        help="Seconds that a photo may take, all tries together.",
        rich_help_panel=SERVICE,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        help="Tries after the first, where the service is busy or a connection breaks.",
        rich_help_panel=SERVICE,
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        metavar="N",
        min=1,
        max=256,
        help="Photos that are asked about at a time.",
        rich_help_panel=SERVICE,
    ),
]
Model = Annotated[
    Optional[str],
    typer.Option(
        "--model",
        metavar="NAME",
        help="Name, or name/version; the service's first of the task if not given.",
        show_default=False,
        autocompletion=model_names,
        rich_help_panel=QUESTION,
    ),
]
ScoreThreshold = Annotated[
    Optional[float],
    typer.Option(
        "--score-threshold",
        metavar="0..1",
        min=0,
        max=1,
        help="Detections must score above it; the model's own if not given.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
IouThreshold = Annotated[
    Optional[float],
    typer.Option(
        "--iou-threshold",
        metavar="0..1",
        min=0,
        max=1,
        help="Of two boxes of one label that overlap more, the better one stays.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
ClassAgnostic = Annotated[
    bool,
    typer.Option(
        "--class-agnostic",
        help="Let boxes of different labels compete as well.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
MaxDetections = Annotated[
    Optional[int],
    typer.Option(
        "--max-detections",
        metavar="1..1000",
        min=1,
        max=1000,
        help="Of each photo, at most.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
Labels = Annotated[
    Optional[list[str]],
    typer.Option(
        "--label",
        metavar="NAME",
        help="Keep only this label; may be repeated.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
TopK = Annotated[
    Optional[int],
    typer.Option(
        "--top-k",
        metavar="N",
        min=1,
        help="Classes of each photo; the model's own number if not given.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
MaxSide = Annotated[
    Optional[int],
    typer.Option(
        "--max-side",
        metavar="PIXELS",
        min=1,
        help="Pixels; larger photos are made smaller before they are sent. Boxes stay those of"
        " the original.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
Tile = Annotated[
    Optional[int],
    typer.Option(
        "--tile",
        metavar="PIXELS",
        min=1,
        help="Pixels; look for small objects in large photos tile by tile.",
        show_default=False,
        rich_help_panel=QUESTION,
    ),
]
Overlap = Annotated[
    float,
    typer.Option(
        "--overlap",
        metavar="0..0.9",
        min=0,
        max=0.9,
        help="Share of a tile that the next one also has.",
        rich_help_panel=QUESTION,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Write JSON in a terminal too: one object a line and photo; of a photo that failed it"
        ' has "error".',
        rich_help_panel=OUTPUT,
    ),
]
Csv = Annotated[
    Optional[str],
    typer.Option(
        "--csv",
        metavar="FILE|-",
        help="Write a CSV file, or - to standard output in place of all else there.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Journal = Annotated[
    Optional[str],
    typer.Option(
        "--journal",
        metavar="FILE",
        help="Keep answers here as they come: the same command, given again, asks only about"
        " photos that have none yet.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
