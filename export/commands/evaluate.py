"""`python -m export evaluate`: measure packages, their network and a server on the same photos."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from export.commands.options import ClassMap, to_evaluation

GATE_FAILED = 2


def evaluate(
    packages: Annotated[
        list[Path],
        typer.Argument(
            help="Folders STORE/NAME/VERSION of one or more packages with the same labels.",
            show_default=False,
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the photos. For a classifier's top-1 and top-5 it holds a folder of"
            " photos for each class, called as the label or its id."
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Data set to measure a detector's AP on: a COCO file, data.yaml of YOLO, or a"
            " folder in a layout of docs/training.md; its categories must be the labels, by id and"
            " name."
        ),
    ] = None,
    class_map: ClassMap = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint that the first package was exported from: the PyTorch network becomes"
            " the reference."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="A running server, such as http://localhost:3000: each package that it serves is"
            " measured through HTTP too."
        ),
    ] = None,
    bf16: Annotated[
        bool,
        typer.Option(
            "--bf16",
            help="Measure the packages as the service runs them with runtime = openvino and"
            " precision = bf16, too.",
        ),
    ] = False,
    iou_type: Annotated[
        Literal["bbox", "segm"],
        typer.Option(
            help="segm: measure outlines too, against the segmentation of the annotations: AP by"
            " masks, which then decides, and the mean overlap of outline and truth."
        ),
    ] = "bbox",
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Points of a hundred by which a column may fall below the reference. Default: 0.5"
            " of AP, mask AP or top-1, with --bf16 0.1 of either AP; 3 of agreement, where nothing"
            " is known of the photos.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Look at so many photos only, spread over all.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures to this file.", show_default=False),
    ] = None,
) -> None:
    r"""Measure packages on the same photos, side by side, and stop a release that lost accuracy.

    The first column is the reference: PyTorch with --weights, else the first
    package. With --annotations COCO's AP is measured, with a folder for each
    class top-1 and top-5; without either, how far the others agree with the
    first.

    Exit status: 0 if no column is worse than the tolerance allows, 2 if one is,
    1 if it could not be measured.

    On a terminal the figures come as a table, into a pipe as JSON with the table
    on stderr. For example, to hold an int8 package, and both behind a server, to
    the fp32 package:

        python -m export evaluate my_models/pets/1 my_models/pets_int8/1 \
            --annotations data/instances_val.json --images data/val \
            --url http://localhost:3000
    """
    from export.commands.measurement import measure
    from export.commands.terminal import one_line_errors

    with one_line_errors():
        evaluation = to_evaluation(annotations, images, class_map)
        if evaluation is None:
            raise typer.BadParameter("name photos to measure on: --annotations, --images or both")
        comparison = measure(
            packages,
            evaluation,
            weights,
            url,
            bf16,
            tolerance,
            limit,
            json_file,
            outlines=iou_type == "segm",
        )
    if comparison.failures:
        raise typer.Exit(GATE_FAILED)
