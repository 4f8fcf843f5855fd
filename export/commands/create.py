"""`python -m export create`: write a model package from a checkpoint."""

from pathlib import Path
from typing import Annotated, Any

import typer

from export.commands.options import (
    Annotations,
    Expect,
    Images,
    ReferenceCode,
    ReferencePython,
    to_evaluation,
    to_owner,
)
from export.commands.setting_options import (
    Activation,
    AnchorSizes,
    Antialias,
    AspectRatios,
    Interpolation,
    IouThreshold,
    LongerSide,
    MaxDetections,
    Mean,
    Padding,
    Resize,
    ScoreThreshold,
    SettingsFile,
    ShorterSide,
    Std,
)


def create(
    name: Annotated[
        str,
        typer.Argument(
            help="The architecture, such as retinanet_resnet50_fpn, tf_efficientdet_d1 or resnet50;"
            " `python -m models` lists them. A classifier's name with +bilinear has a bilinear"
            " head.",
            show_default=False,
        ),
    ],
    weights: Annotated[
        Path,
        typer.Option(
            help="Checkpoint (.pth or .safetensors) to export: one of models.training, or as"
            " torchvision, timm, effdet and their training scripts write it."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(help="The package's folder, STORE/NAME/VERSION, such as model_store/pets/1."),
    ],
    photos: Annotated[
        Path,
        typer.Option(
            help="Folder of real photos to compare PyTorch and ONNX Runtime on, or a data set."
        ),
    ] = Path("docs/photos"),
    labels: Annotated[
        str | None,
        typer.Option(
            help="File with a class name a line, or one of imagenet1k, coco (90 names) and coco91"
            " (with a background, as torchvision's RetinaNet counts). Not needed for a checkpoint"
            " of models.training, which holds its own."
        ),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Side of the input in pixels, if not the architecture's own; the shorter side of"
            " torchvision's detectors, whose input varies.",
        ),
    ] = None,
    multi_label: Annotated[
        bool,
        typer.Option(
            help="The same as --activation sigmoid, for a classifier trained so that a photo may be"
            " of several classes."
        ),
    ] = False,
    mean: Mean = None,
    std: Std = None,
    resize: Resize = None,
    shorter_side: ShorterSide = None,
    longer_side: LongerSide = None,
    interpolation: Interpolation = None,
    antialias: Antialias = None,
    anchor_sizes: AnchorSizes = None,
    aspect_ratios: AspectRatios = None,
    score_threshold: ScoreThreshold = None,
    iou_threshold: IouThreshold = None,
    max_detections: MaxDetections = None,
    activation: Activation = None,
    padding: Padding = None,
    settings_file: SettingsFile = None,
    licence: Annotated[str, typer.Option(help="Of the weights, for the manifest.")] = "unknown",
    annotations: Annotations = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Divide a detector's logits by the temperature with which its scores tell best, on"
            " the annotated photos, how often they are right. Their order stays as it is.",
        ),
    ] = False,
    images: Images = None,
    reference: ReferenceCode = None,
    reference_python: ReferencePython = None,
    expect: Expect = None,
) -> None:
    """Write a model package: one ONNX file, its manifest and a report of its accuracy and latency.

    Nothing is written unless ONNX Runtime gives the answers that Boxport's own network gives in
    PyTorch with these weights: the same labels, scores within
    0.0001 and boxes within 0.01 pixels, at batch 1, 2 and 7, on real photos and on images that are
    hard for a graph. If it does not, the first node that differs is named.

    With --reference or --expect the package must also answer photos as your own model does, from
    the photos' files on. If it does not, the setting that explains it is named.
    """
    from export.commands.terminal import one_line_errors, show_package, shown_progress
    from export.exporter import ExportJob, export
    from export.labels import read_labels
    from export.settings import (
        parse_anchor_sizes,
        parse_aspect_ratios,
        read_settings,
        to_settings,
    )

    evaluation = None
    if images is not None or expect is None:  # else the annotations name the photos of --expect
        evaluation = to_evaluation(annotations, images)
    owner = to_owner(reference, reference_python, expect, annotations)
    stated: dict[str, Any] = {
        "mean": mean,
        "std": std,
        "resize": resize,
        "input_size": input_size,
        "shorter_side": shorter_side,
        "longer_side": longer_side,
        "interpolation": interpolation,
        "antialias": antialias,
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "activation": "sigmoid" if multi_label and activation is None else activation,
        "padding": padding,
    }
    with one_line_errors(), shown_progress() as progress:
        if anchor_sizes is not None:
            stated["anchor_sizes"] = parse_anchor_sizes(anchor_sizes)
        if aspect_ratios is not None:
            stated["aspect_ratios"] = parse_aspect_ratios(aspect_ratios)
        settings = to_settings({k: v for k, v in stated.items() if v is not None})
        if settings_file is not None:
            settings = settings.over(read_settings(settings_file))
        job = ExportJob(
            architecture=name,
            weights=weights,
            output=output,
            photos=photos,
            licence=licence,
            labels=None if labels is None else read_labels(labels),
            evaluation=evaluation,
            settings=settings,
            owner=owner,
            calibrate=calibrate,
        )
        manifest = export(job, progress)
    show_package(manifest, output)
