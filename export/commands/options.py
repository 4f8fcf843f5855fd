"""Options that several commands have."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from export.evaluation.photo_set import EvaluationSet
    from export.proof.owner import Owner

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
ClassMap = Annotated[
    Path | None,
    typer.Option(
        help="JSON or YAML file of the data's class names and the labels that they stand for, such"
        " as {tvmonitor: tv}. Classes that are neither named there nor a label are left out.",
        show_default=False,
    ),
]

ReferenceCode = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="FILE.py[:FUNCTION]",
        help="Your own code: a function (predict) that takes a photo's path, or the photo where its"
        " parameter is called image, and gives your model's answer, see docs/bring-your-own.md."
        " The package must give the same to each of --photos.",
        show_default=False,
    ),
]
ReferencePython = Annotated[
    Path | None,
    typer.Option(help="Python that runs it, such as that of your own environment."),
]
Expect = Annotated[
    Path | None,
    typer.Option(
        help="In place of --reference, a file of your model's results on --photos: COCO's format,"
        " or JSON or CSV by photo."
    ),
]


def to_owner(
    reference: str | None, python: Path | None, expect: Path | None, annotations: Path | None
) -> "Owner | None":
    """Whose answers a package is compared with; None where nobody's were named.

    Raises typer.BadParameter if two were, or a Python for nothing.
    """
    if reference is not None and expect is not None:
        raise typer.BadParameter("--reference and --expect: one of them is enough")
    if python is not None and reference is None:
        raise typer.BadParameter("--reference-python runs --reference, which is missing")
    if reference is None and expect is None:
        return None
    from export.proof.owner import Owner

    return Owner(reference, python, expect, annotations)


def to_evaluation(
    annotations: Path | None, images: Path | None, class_map: Path | None = None
) -> "EvaluationSet | None":
    """What to measure accuracy on; None where nothing was named. Raises ClassMapError."""
    from export.evaluation.class_map import read_class_map
    from export.evaluation.photo_set import EvaluationSet

    named = annotations is not None or images is not None
    names = None if class_map is None else read_class_map(class_map)
    return EvaluationSet(images, annotations, names) if named else None
