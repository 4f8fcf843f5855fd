"""`python -m models.training autoencoder`: what tells which photos a model has not seen."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from models.training import options

HELP = (
    "Train an auto-encoder on the photos of a folder, by which `python -m export novelty` tells"
    " photos that a model has not seen.\n\n"
    "A photo is seen as on the model's input, made as small as 64 pixels; no annotations are"
    " needed. The weights with the best lower bound on photos held out end in OUTPUT/best.pth."
)


def autoencoder(
    photos: Annotated[
        Path,
        typer.Option(
            help="Folder of the photos that the model was trained on, at any depth.", exists=True
        ),
    ],
    architecture: Annotated[
        Literal["vae", "autoencoder"],
        typer.Argument(help="Variational (arXiv 1312.6114), or plain."),
    ] = "vae",
    package: Annotated[
        Path | None,
        typer.Option(
            help="Folder STORE/NAME/VERSION of the model, whose input is looked at. Default: the"
            " whole photo."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for what is written.", file_okay=False, metavar="DIR")
    ] = Path("runs/vae"),
    validation_share: Annotated[
        float, typer.Option(help="Share of the photos that is held out.", min=0.01, max=0.9)
    ] = 0.1,
    skip_bad: options.SkipBad = False,
    epochs: Annotated[int, typer.Option(help="Passes over the photos.", min=1, metavar="N")] = 60,
    batch_size: Annotated[int, typer.Option(help="Photos in a batch.", min=2, metavar="N")] = 64,
    learning_rate: Annotated[
        float, typer.Option(help="At the peak, for a batch of 128.", metavar="X")
    ] = 4e-3,
    precision: options.Precision = "auto",
    device: options.Device = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and draws.", metavar="N")] = 0,
) -> None:
    from models.training.autoencoder.run import AutoEncoderJob, run
    from models.training.console import one_line_errors

    job = AutoEncoderJob(
        architecture=architecture,
        photos=photos,
        package=package,
        output=output,
        validation_share=validation_share,
        skip_bad=skip_bad,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
        device=device,
        seed=seed,
    )
    with one_line_errors("stopped; the same command goes on from the last state"):
        run(job)
