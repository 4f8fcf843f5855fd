"""`python -m export convert`: a package in lower precision from one in float32."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from export.commands.options import Annotations, Images, to_evaluation
from export.precision import CALIBRATION_PHOTOS


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
            help="Folder of photos like those that the model will see, or a data set, of which the"
            " photos to measure on count. 8 bits' ranges are found on them, and both precisions are"
            " compared on them."
        ),
    ],
    precision: Annotated[
        Literal["int8", "fp16", "bf16"],
        typer.Option(
            help="int8: for processors, 1.6 to 1.8 times as fast end to end on one with VNNI, and a"
            " quarter to a half of the size. fp16: for GPUs, half the size."
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
    annotations: Annotations = None,
    images: Images = None,
) -> None:
    """Write a package in lower precision, for the same service.

    It answers the same requests with the same fields. Nothing is written unless its answers agree
    with the float32 package's; `evaluate` then tells what it costs in AP or top-1.

    Example: python -m export convert model_store/pets/1 --photos pets --output model_store/pets/2
    """
    from export.commands.terminal import one_line_errors, show_package, shown_progress
    from export.precision.calibration import Calibration
    from export.precision.conversion import ConversionJob
    from export.precision.conversion import convert as convert_package

    evaluation = to_evaluation(annotations, images)
    with one_line_errors(), shown_progress() as progress:
        manifest = convert_package(
            ConversionJob(
                package=package,
                precision=precision,
                output=output,
                photos=photos,
                calibration=None if method == "best" else Calibration(method, percentile),
                search=search,
                most_photos=most_photos,
                evaluation=evaluation,
            ),
            progress,
        )
    show_package(manifest, output)
