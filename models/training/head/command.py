"""`python -m models.training head`: a classifier on the features of a trained network."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from models.training import options

HELP = (
    "Train a linear classifier on the features of a trained network: in seconds, on a processor,"
    " from a few photos a class.\n\n"
    "The photos run through the network once; what it gives before its class layer is kept in"
    " OUTPUT/features.npz, so that the same photos need not run again for another --kind. Then"
    " scikit-learn fits the class layer, with the regularisation that is best in five-fold"
    " cross-validation, and the network with it is written to OUTPUT/best.pth, which `python -m"
    " export create` makes a package of. OUTPUT/report.html says how good it is, and what a linear"
    " SVM on HOG, without any network, would be.\n\n"
    "Of a detection data set the boxes are classified, as part of their photos: it becomes the"
    " second stage after a detector. --features rcnn_lite0 --kind svm makes a detector of it, R-CNN"
    " (arXiv 1311.2524), whose regions come from selective search or from its callers."
)


def head(
    features: Annotated[
        str,
        typer.Option(
            help="The network: a classifier's architecture, such as efficientnet_lite0 (default)"
            " or resnet50; or an R-CNN's, rcnn_lite0. `python -m models` lists them.",
            metavar="NAME",
            show_default=False,
        ),
    ] = "efficientnet_lite0",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Its checkpoint, of whatever classes, such as `python -m models.zoo download`"
            " fetches. efficientnet_lite0 has ImageNet's without.",
            metavar="FILE",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Photos: train/ and val/ with a folder for every class, or a detection data set in"
            " any layout of docs/training.md.",
            exists=True,
            metavar="PATH",
        ),
    ] = None,
    kind: Annotated[
        Literal["softmax", "logistic", "svm"],
        typer.Option(
            help="softmax (the default): each photo is of one class. logistic: a yes or no for each"
            " class, so that a photo may be of several, or none. svm: the same with a linear SVM,"
            " whose scores become probabilities by Platt's method.",
            metavar="KIND",
            show_default=False,
        ),
    ] = "softmax",
    output: Annotated[
        Path, typer.Option(help="Folder for what is written.", file_okay=False, metavar="DIR")
    ] = Path("runs/head"),
    train: options.Train = None,
    val: options.Val = None,
    images: options.Images = None,
    validation_share: options.ValidationShare = None,
    skip_bad: options.SkipBad = False,
    clip_boxes: options.ClipBoxes = False,
    background: Annotated[
        int,
        typer.Option(
            help="Of a detection data set: windows of each photo that show no object, for logistic"
            " and svm to tell objects from. 0 leaves it out, as softmax always does.",
            min=0,
            metavar="N",
        ),
    ] = 8,
    rounds: Annotated[
        int,
        typer.Option(
            help="Rounds in which the background that was taken for an object is added, as R-CNN"
            " does.",
            min=0,
            metavar="N",
        ),
    ] = 2,
    baseline: Annotated[
        bool,
        typer.Option(help="Also train a linear SVM on HOG, for the report to compare with."),
    ] = True,
    device: options.Device = None,
    precision: options.Precision = "auto",
    seed: Annotated[int, typer.Option(help="Of the choice of background.", metavar="N")] = 0,
) -> None:
    from models.training.console import one_line_errors
    from models.training.head.run import HeadJob, run

    job = HeadJob(
        features=features,
        weights=weights,
        kind=kind,
        output=output,
        data=data,
        train=train,
        val=val,
        images=images,
        validation_share=validation_share,
        skip_bad=skip_bad,
        clip_boxes=clip_boxes,
        background=background,
        rounds=rounds,
        baseline=baseline,
        device=device,
        precision=precision,
        seed=seed,
    )
    with one_line_errors("stopped; the same command starts again"):
        run(job)
