"""`python -m export novelty`: write the companion of a package, which knows its training photos."""

from pathlib import Path
from typing import Annotated

import typer


def novelty(
    package: Annotated[
        Path,
        typer.Argument(help="Folder STORE/NAME/VERSION of the model.", show_default=False),
    ],
    photos: Annotated[
        Path,
        typer.Option(
            help="Folder of the photos that the model was trained on, at any depth. Of folders that"
            " are named after classes each becomes a Gaussian of its own."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="The companion's folder. Default: where the service looks for it,"
            " STORE/NAME.novelty/VERSION.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="The classifier whose features the Mahalanobis distance is of: an EfficientNet or"
            " a ResNet."
        ),
    ] = "efficientnet_lite0",
    weights: Annotated[
        Path | None,
        typer.Option(help="Its checkpoint. efficientnet_lite0 has ImageNet's without."),
    ] = None,
    autoencoder: Annotated[
        Path | None,
        typer.Option(
            help="best.pth of `python -m models.training autoencoder`, to be tried as well."
        ),
    ] = None,
    unlike: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos that are to be called novel: AUROC is measured on them beside"
            " the kinds that are made of the training photos."
        ),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, for the manifest.")] = "unknown",
) -> None:
    """Write the companion of a package: how far a photo is from those that it was trained on.

    Every way to measure it is tried on photos held out and on others made unlike them (dark, out of
    focus, upside down, noise, text), and the one with the best AUROC is written: the Mahalanobis
    distance in a classifier's features (arXiv 1807.03888), or an auto-encoder's reconstruction
    error or latent distance.

    Nothing is written unless ONNX Runtime gives the distances that PyTorch gives. The service
    finds the companion by its name, and answers `novelty` with the model.
    """
    from export.commands.terminal import one_line_errors, show_package, shown_progress
    from export.novelty.companion import CompanionJob, write_companion
    from service.repository.store import companion_of

    with one_line_errors(), shown_progress() as progress:
        job = CompanionJob(
            package=package,
            photos=photos,
            output=output,
            features=features,
            weights=weights,
            autoencoder=autoencoder,
            unlike=unlike,
            licence=licence,
        )
        manifest = write_companion(job, progress)
    show_package(manifest, output or companion_of(package))
