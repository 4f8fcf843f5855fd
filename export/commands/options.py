"""Options that several commands have."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from export.evaluation.photo_set import EvaluationSet

Annotations = Annotated[
    Path | None,
    typer.Option(
        help="Data set to measure a detector's AP on: a COCO file, data.yaml of YOLO, or a folder"
        " in a layout of docs/training.md, of which the photos to measure on count."
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a COCO file's photos, if not beside it; for a classifier's top-1 and top-5,"
        " of a folder of photos for each class."
    ),
]


def to_evaluation(annotations: Path | None, images: Path | None) -> "EvaluationSet | None":
    """What to measure accuracy on; None where nothing was named."""
    from export.evaluation.photo_set import EvaluationSet

    named = annotations is not None or images is not None
    return EvaluationSet(images, annotations) if named else None
