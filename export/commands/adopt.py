"""`python -m export adopt`: a model package from an ONNX file that another tool exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from export.commands.options import (
    Annotations,
    ClassMap,
    Expect,
    Images,
    ReferenceCode,
    ReferencePython,
    to_evaluation,
    to_owner,
)
from export.commands.setting_options import (
    Activation,
    Antialias,
    Interpolation,
    IouThreshold,
    MaxDetections,
    Mean,
    Resize,
    ScoreThreshold,
    ShorterSide,
    Std,
)

DRAWN = 2  # photos, in the terminal


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
    mean: Mean = None,
    std: Std = None,
    resize: Resize = None,
    shorter_side: ShorterSide = None,
    anchor: Annotated[
        Literal["top_left", "centre"] | None, typer.Option(help="Of the photo in a letterbox.")
    ] = None,
    fill: Annotated[
        tuple[int, int, int] | None, typer.Option(help="RGB of what a letterbox leaves empty.")
    ] = None,
    interpolation: Interpolation = None,
    antialias: Antialias = None,
    score_threshold: ScoreThreshold = None,
    iou_threshold: IouThreshold = None,
    max_detections: MaxDetections = None,
    activation: Activation = None,
    box_format: Annotated[
        Literal["xyxy", "yxyx", "cxcywh", "xywh"] | None,
        typer.Option(help="Of --decoder generic."),
    ] = None,
    box_units: Annotated[
        Literal["pixels", "relative"] | None,
        typer.Option(help="Of --decoder generic. Default: by the boxes of one image."),
    ] = None,
    background: Annotated[
        Literal["first", "last", "none"] | None,
        typer.Option(help="Which class of the outputs is the background."),
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
    reference: ReferenceCode = None,
    reference_python: ReferencePython = None,
    expect: Expect = None,
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
    scores within 0.0001 and boxes within 0.01 pixels. What that cannot show to be right, what is
    done to a photo before, --reference, --expect or --annotations prove.

    Example: python -m export adopt yolox_nano.onnx --labels coco80 --output my_models/yolox/1
    """
    from export.adopt.adoption import AdoptionJob, find_in, find_out
    from export.adopt.adoption import adopt as adopt_file
    from export.adopt.decoders.row import Given
    from export.adopt.limited import Limits, run_limited
    from export.commands.drawing import show_detections
    from export.commands.terminal import (
        console,
        one_line_errors,
        show_adoption,
        show_findings,
        show_package,
        shown_progress,
    )
    from export.evaluation.photo_set import find_photos
    from export.labels import read_labels
    from export.package_writer import check_output, written_aside
    from export.settings import to_settings
    from service.imaging.files import read_image

    stated = {
        "channel_order": channel_order,
        "scale": scale,
        "mean": mean,
        "std": std,
        "resize": resize,
        "shorter_side": shorter_side,
        "anchor": anchor,
        "fill": fill,
        "interpolation": interpolation,
        "antialias": antialias,
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
    }
    asked = to_owner(reference, reference_python, expect, annotations)
    evaluation = None
    if images is not None or expect is None:  # else the annotations name the photos of --expect
        evaluation = to_evaluation(annotations, images, class_map)
    of_decoder = {
        "activation": activation,
        "box_format": box_format,
        "box_units": box_units,
        "background": background,
    }
    limits = Limits(int(memory * 2**30), 60 * minutes)
    with one_line_errors(), shown_progress() as progress:
        check_output(output)
        job = AdoptionJob(
            file=file,
            output=output,
            photos=photos,
            labels=None if labels is None else read_labels(labels),
            licence=licence,
            outputs=tuple(outputs or ()),
            layout=layout,
            size=_size(input_size),
            given=Given(decoder, to_settings(_stated(stated)), _stated(of_decoder)),
            evaluation=evaluation,
            least_ap=least_ap,
        )
        progress.step(f"reading {file}")
        found = run_limited(find_out, job, limits=limits)
        show_findings(found.findings)
        if dry_run:
            return
        owner = None
        if asked is not None:  # of whom no limit is asked: it is the user's own
            paths = find_photos(photos)
            progress.step(f"{asked} about {len(paths)} photos")
            owner = asked.answers(found.task, found.labels, paths, progress.update)
        with written_aside(output) as folder:
            manifest = run_limited(adopt_file, job, folder, owner, limits=limits, progress=progress)
    show_package(manifest, output)
    show_adoption(manifest)
    if manifest.task == "detection" and manifest.parity.unproven and console.is_terminal:
        chosen = find_photos(photos)[:DRAWN]
        for path, rows in zip(chosen, run_limited(find_in, output, chosen), strict=True):
            show_detections(console, path.name, read_image(path), rows)


def _stated(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _size(text: str | None) -> tuple[int, int] | None:
    """Raises typer.BadParameter."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise typer.BadParameter(f"--input-size {text}: give a side, or HEIGHTxWIDTH")
    return int(sides[0]), int(sides[-1])
