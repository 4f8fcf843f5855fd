"""`python -m export convert`: a package in lower precision from one in float32."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from export.accuracy import EvaluationSet
from export.commands.terminal import console, one_line_errors, shown_steps
from export.precision.calibration import Calibration
from export.precision.conversion import CALIBRATION_PHOTOS, ConversionJob
from export.precision.conversion import convert as convert_package


def convert(
    package: Annotated[
        Path,
        typer.Argument(
            help="Folder of a float32 package, such as model_store/pets/1.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="The new package's folder, such as model_store/pets_int8/1.")
    ],
    photos: Annotated[
        Path,
        typer.Option(
            help="Folder of photos like those that the model will see. 8 bits' ranges are found on"
            " them, and both precisions are compared on them."
        ),
    ],
    precision: Annotated[
        Literal["int8", "fp16", "bf16"],
        typer.Option(
            help="int8: for processors, twice as fast and a quarter of the size. fp16: for GPUs,"
            " half the size."
        ),
    ] = "int8",
    method: Annotated[
        Literal["best", "minmax", "percentile", "entropy"],
        typer.Option(help="How ranges are found; best tries all and takes the most faithful."),
    ] = "best",
    percentile: Annotated[
        float, typer.Option(min=90, max=100, help="Of values that lie in the range.")
    ] = 99.999,
    search: Annotated[
        bool,
        typer.Option(help="Look for layers that lose much in 8 bits, and keep them in float."),
    ] = True,
    most_photos: Annotated[
        int, typer.Option(min=4, help="To use, from all over the folder.")
    ] = CALIBRATION_PHOTOS,
    annotations: Annotated[
        Path | None, typer.Option(help="COCO instances file to measure a detector's AP on.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of that file's photos; for a classifier's top-1 and top-5, of a folder of"
            " photos for each class."
        ),
    ] = None,
) -> None:
    """Write a package in lower precision, for the same service.

    It answers the same requests with the same fields. Nothing is written unless its answers agree
    with the float32 package's; `evaluate` then tells what it costs in AP or top-1.

    Example: python -m export convert model_store/pets/1 --photos pets --output model_store/pets/2
    """
    if annotations is not None and images is None:
        raise typer.BadParameter("--annotations needs --images, the folder of the file's photos")
    with one_line_errors(), shown_steps() as steps:
        manifest = convert_package(
            ConversionJob(
                package=package,
                precision=precision,
                output=output,
                photos=photos,
                calibration=None if method == "best" else Calibration(method, percentile),
                search=search,
                most_photos=most_photos,
                evaluation=None if images is None else EvaluationSet(images, annotations),
            ),
            steps.on_step,
            steps.on_progress,
        )
    parity = manifest.parity
    console.print(
        f"{parity.agreeing:.1%} of the answers agree,"
        f" scores within {parity.max_score_difference:.2g}"
    )
    if manifest.accuracy is not None:
        console.print(", ".join(f"{k} {v:.3f}" for k, v in manifest.accuracy.metrics.items()))
    console.print(f"wrote {output}")
