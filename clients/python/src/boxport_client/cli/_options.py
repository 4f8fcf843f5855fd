"""Arguments and options that several commands share. Typer reads these types at run time."""

from functools import partial
from typing import Annotated, Any, Literal

import typer

from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._settings import find_service

ResizeChoice = Literal["model", "warp"]
COMPLETION_SECONDS = 0.5  # a shell that completes a word does not wait longer for the service


def option(panel: str | None, flag: str, metavar: str | None, words: str, **more: Any) -> Any:
    """An option that the help lists under ``panel``; ``more`` goes to Typer."""
    return typer.Option(flag, metavar=metavar, help=words, rich_help_panel=panel, **more)


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of the service's models, for completion; none if it does not answer at once."""
    given = context.params
    try:
        names = ("url", "api_key", "profile", "ca_file")
        service = find_service(*(given.get(name) for name in names))
        with service.client(timeout=COMPLETION_SECONDS, retries=0) as client:
            known = {model.name for model in client.models()}
    except Exception:  # completion has nowhere to report an error
        return []
    return sorted(name for name in known if name.startswith(incomplete))


request = partial(option, "Request")
output = partial(option, "Output")
service = partial(option, "Service")

Photos = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTOS...",
        help="Files, folders (with all folders in them), globs in quotes, http(s) URLs that the"
        " service may fetch, or - for a photo on standard input.",
        show_default=False,
    ),
]

Model = Annotated[
    str | None,
    request(
        "--model",
        "NAME",
        "Name, or name/version; the default model for the task if not given.",
        autocompletion=model_names,
    ),
]
ScoreThreshold = Annotated[
    float | None,
    request(
        "--score-threshold",
        "0..1",
        "Keep detections that score above it; else the model's own.",
        min=0,
        max=1,
    ),
]
IouThreshold = Annotated[
    float | None,
    request(
        "--iou-threshold",
        "0..1",
        "Of two boxes of one label with a higher IoU, keep the better.",
        min=0,
        max=1,
    ),
]
ClassAgnostic = Annotated[
    bool, request("--class-agnostic", None, "Let boxes of different labels suppress each other.")
]
Novelty = Annotated[
    bool,
    request(
        "--novelty", None, "Say how novel each photo is to the model, which must have a companion."
    ),
]
MaxDetections = Annotated[
    int | None,
    request("--max-detections", "1..1000", "At most so many per photo.", min=1, max=1000),
]
Labels = Annotated[
    list[str] | None, request("--label", "NAME", "Keep only this label; may be repeated.")
]
Then = Annotated[
    str | None,
    request(
        "--then",
        "CLASSIFIER",
        "Classify what is in each box with this model: name, or name/version.",
        autocompletion=model_names,
    ),
]
ThenTopK = Annotated[int | None, request("--top-k", "N", "Classes per box, with --then.", min=1)]
Regions = Annotated[
    list[str] | None,
    request(
        "--region",
        "LEFT,TOP,RIGHT,BOTTOM",
        "Classify this part of each photo, in pixels, in place of the whole; may be repeated.",
    ),
]
LookAt = Annotated[
    list[str] | None,
    request(
        "--region",
        "LEFT,TOP,RIGHT,BOTTOM",
        "Look at this part of each photo, in pixels, with a model that must be told where, an"
        " R-CNN; may be repeated.",
    ),
]
RegionPadding = Annotated[
    float | None,
    request(
        "--region-padding",
        "0..1",
        "Context around each box: the share of its sides that is added on each side.",
        min=0,
        max=1,
    ),
]
RegionResize = Annotated[
    ResizeChoice | None,
    request(
        "--region-resize",
        None,
        "As the classifier resizes a photo, or warped so that it sees all of the box.",
    ),
]
TopK = Annotated[
    int | None,
    request("--top-k", "N", "Classes per photo; else the model's own number.", min=1),
]
MaxSide = Annotated[
    int | None,
    request(
        "--max-side",
        "PIXELS",
        "Make larger photos smaller before they are sent. Boxes stay those of the original.",
        min=1,
    ),
]
Tile = Annotated[
    int | None,
    request("--tile", "PIXELS", "Find small objects in large photos by tiles of this side.", min=1),
]
Overlap = Annotated[
    float,
    request("--overlap", "0..0.9", "Share of a tile that the next one covers too.", min=0, max=0.9),
]

AsJson = Annotated[
    bool,
    output(
        "--json",
        None,
        'Write JSON lines in a terminal too: one object per photo, with "error" if it failed.',
    ),
]
Csv = Annotated[
    str | None, output("--csv", "FILE|-", "Write CSV to a file, or with - to standard output.")
]
Journal = Annotated[
    str | None,
    output(
        "--journal",
        "FILE",
        "Write answers here as they come: the same command, run again, sends only photos without"
        " one.",
    ),
]

Url = Annotated[
    str | None,
    service(
        "--url",
        "URL",
        "Address of the service; else BOXPORT_URL, the configuration, or http://localhost:3000.",
    ),
]
ApiKey = Annotated[
    str | None,
    service(
        "--api-key",
        "KEY",
        "Key for the service. Other users of this machine can see it on the command line:"
        " BOXPORT_API_KEY or the configuration are safer.",
    ),
]
CaFile = Annotated[
    str | None,
    service(
        "--ca-file",
        "FILE",
        "Certificates in PEM format that are trusted, for a service whose own is not signed by a"
        " public authority; else SSL_CERT_FILE.",
    ),
]
Profile = Annotated[
    str | None,
    service(
        "--profile",
        "NAME",
        "Profile of the configuration with address and key; goes before the environment.",
    ),
]
Timeout = Annotated[
    float,
    service("--timeout", "SECONDS", "For each photo, all tries together.", min=0.001),
]
Retries = Annotated[
    int,
    service("--retries", "N", "More tries if the service is busy or a connection breaks.", min=0),
]
Concurrency = Annotated[
    int, service("--concurrency", "N", "Requests that run at a time.", min=1, max=256)
]


def read_regions(texts: list[str] | None) -> list[list[float]] | None:
    """The numbers of each, whose number the client checks. Raises CommandError."""
    return [_read_region(text) for text in texts] if texts else None


def _read_region(text: str) -> list[float]:
    try:
        return [float(side) for side in text.split(",")]
    except ValueError:
        words = f"--region {text}: is not four numbers with commas: left,top,right,bottom"
        raise CommandError(words) from None
