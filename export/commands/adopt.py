"""`python -m export adopt`: a model package from an ONNX file that another tool exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from export.commands.options import Annotations, ClassMap, Images, to_evaluation


def adopt(
    file: Annotated[Path, typer.Argument(help="The ONNX file.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(help="The package's folder, STORE/NAME/VERSION, such as my_models/x/1."),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            help="File with a class name a line, or one of imagenet1k, coco80, coco, coco91. Not"
            " needed for a file whose metadata names its classes."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what was found out, and write nothing.")
    ] = False,
    decoder: Annotated[
        str | None,
        typer.Option(help="What reads the outputs, by its name in docs/adopt.md."),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--outputs", help="An output that matters; repeat it. Default: all."),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(help="Of a file that leaves it open: a side in pixels, or HEIGHTxWIDTH."),
    ] = None,
    layout: Annotated[Literal["nchw", "nhwc"] | None, typer.Option(help="Of the input.")] = None,
    channel_order: Annotated[
        Literal["rgb", "bgr"] | None, typer.Option(help="In which the network reads.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Of pixel values, before the mean is subtracted.")
    ] = None,
    mean: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Subtracted from each channel, in the network's order."),
    ] = None,
    std: Annotated[
        tuple[float, float, float] | None, typer.Option(help="That each channel is divided by.")
    ] = None,
    resize: Annotated[
        Literal["stretch", "letterbox", "centre_crop"] | None,
        typer.Option(help="How a photo becomes the input."),
    ] = None,
    anchor: Annotated[
        Literal["top_left", "centre"] | None, typer.Option(help="Of the photo in a letterbox.")
    ] = None,
    fill: Annotated[
        tuple[int, int, int] | None, typer.Option(help="RGB of what a letterbox leaves empty.")
    ] = None,
    crop: Annotated[
        float | None, typer.Option(help="Share of the shorter side that a centre crop keeps.")
    ] = None,
    interpolation: Annotated[
        Literal["bilinear", "bicubic"] | None, typer.Option(help="Of the resize.")
    ] = None,
    antialias: Annotated[
        bool | None, typer.Option(help="Whether a photo that is made smaller is smoothed.")
    ] = None,
    activation: Annotated[
        Literal["softmax", "sigmoid"] | None, typer.Option(help="Of a file that ends in logits.")
    ] = None,
    photos: Annotated[
        Path, typer.Option(help="Folder of real photos to compare the package and the file on.")
    ] = Path("docs/photos"),
    licence: Annotated[
        str | None, typer.Option(help="Of the weights. Default: what the metadata says.")
    ] = None,
    annotations: Annotations = None,
    images: Images = None,
    class_map: ClassMap = None,
    least_ap: Annotated[
        float, typer.Option(help="AP50 (top-1) that the package must have on the annotations.")
    ] = 0.1,
    memory: Annotated[float, typer.Option(help="GB that reading the file may take.")] = 12,
    minutes: Annotated[float, typer.Option(help="That it may take.")] = 60,
) -> None:
    """Write a model package from a detector or classifier that another tool exported to ONNX.

    What reads its outputs and how a photo becomes its input is found out, and shown with the
    reasons; each can be given by an option. Nothing is written unless the package gives, from the
    same pixels, the answers of the untouched file with its family's own decoding: the same labels,
    scores within 0.0001 and boxes within 0.01 pixels.

    Example: python -m export adopt yolox_nano.onnx --labels coco80 --output my_models/yolox/1
    """
    from export.adopt.adoption import AdoptionJob, find_out
    from export.adopt.adoption import adopt as adopt_file
    from export.adopt.decoders.row import Given
    from export.adopt.limited import Limits, run_limited
    from export.commands.terminal import (
        one_line_errors,
        show_adoption,
        show_findings,
        show_package,
        shown_progress,
    )
    from export.labels import read_labels
    from export.package_writer import check_output, written_aside

    chosen = {
        "channel_order": channel_order,
        "scale": scale,
        "mean": mean,
        "std": std,
        "resize": resize,
        "anchor": anchor,
        "fill": fill,
        "crop": crop,
        "interpolation": interpolation,
        "antialias": antialias,
    }
    settings = {"activation": activation}
    limits = Limits(int(memory * 2**30), 60 * minutes)
    with one_line_errors(), shown_progress() as progress:
        check_output(output)
        evaluation = to_evaluation(annotations, images, class_map)
        job = AdoptionJob(
            file=file,
            output=output,
            photos=photos,
            labels=None if labels is None else read_labels(labels),
            licence=licence,
            outputs=tuple(outputs or ()),
            layout=layout,
            size=_size(input_size),
            given=Given(decoder, _stated(chosen), _stated(settings)),
            evaluation=evaluation,
            least_ap=least_ap,
        )
        progress.step(f"reading {file}")
        show_findings(run_limited(find_out, job, limits=limits))
        if dry_run:
            return
        with written_aside(output) as folder:
            manifest = run_limited(adopt_file, job, folder, limits=limits, progress=progress)
    show_package(manifest, output)
    show_adoption(manifest)


def _stated(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _size(text: str | None) -> tuple[int, int] | None:
    """Raises typer.BadParameter."""
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
        return (sides[0], sides[-1]) if len(sides) in (1, 2) else _size("")
    except ValueError:
        raise typer.BadParameter(f"--input-size {text}: give a side, or HEIGHTxWIDTH") from None
