"""`python -m export create`: write a model package from a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from export.commands.options import Annotations, Images, to_evaluation


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
        Path, typer.Option(help="Folder of real photos to compare PyTorch and ONNX Runtime on.")
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
            help="For a classifier trained so that a photo may be of several classes: each gets a"
            " probability of its own (sigmoid), not a share of one (softmax)."
        ),
    ] = False,
    licence: Annotated[str, typer.Option(help="Of the weights, for the manifest.")] = "unknown",
    annotations: Annotations = None,
    images: Images = None,
) -> None:
    """Write a model package: one ONNX file, its manifest and a report of its accuracy and latency.

    Nothing is written unless ONNX Runtime gives the answers that Boxport's own network gives in
    PyTorch with these weights: the same labels, scores within
    0.0001 and boxes within 0.01 pixels, at batch 1, 2 and 7, on real photos and on images that are
    hard for a graph. If it does not, the first node that differs is named.
    """
    from export.commands.terminal import one_line_errors, show_package, shown_progress
    from export.exporter import ExportJob, export
    from export.labels import read_labels

    evaluation = to_evaluation(annotations, images)
    with one_line_errors(), shown_progress() as progress:
        job = ExportJob(
            architecture=name,
            weights=weights,
            output=output,
            photos=photos,
            licence=licence,
            labels=None if labels is None else read_labels(labels),
            evaluation=evaluation,
            input_size=input_size,
            multi_label=multi_label,
        )
        manifest = export(job, progress)
    show_package(manifest, output)
