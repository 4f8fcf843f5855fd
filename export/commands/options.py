"""Options that several commands have."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from export.evaluation.photo_set import EvaluationSet

Annotations = Annotated[
    Path | None, typer.Option(help="COCO instances file to measure a detector's AP on.")
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of that file's photos; for a classifier's top-1 and top-5, of a folder of"
        " photos for each class."
    ),
]


def to_evaluation(annotations: Path | None, images: Path | None) -> "EvaluationSet | None":
    """What to measure accuracy on; None where nothing was named.

    Raises typer.BadParameter if the photos of ``annotations`` are missing.
    """
    from export.evaluation.photo_set import EvaluationSet

    if images is not None:
        return EvaluationSet(images, annotations)
    if annotations is not None:
        raise typer.BadParameter("--annotations needs --images, the folder of the file's photos")
    return None
