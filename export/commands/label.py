"""`python -m export label`: let trained detectors label photos that another will learn from."""

from pathlib import Path
from typing import Annotated

import typer


def label(
    packages: Annotated[
        list[Path],
        typer.Argument(
            help="Folders STORE/NAME/VERSION of one or more detectors, whose answers are fused.",
            show_default=False,
        ),
    ],
    photos: Annotated[
        Path,
        typer.Option(
            help="Folder of photos, at any depth, or a text file with the path of one in each line."
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="The COCO file to write, in which each box has a score.")
    ],
) -> None:
    """Write down what detectors find in photos, for `python -m models.training --pseudo-labels`.

    Each detector sees the photo and its mirror image. If it is interrupted, the same command goes
    on, and it adds the photos that are not in the file yet.
    """
    from export.commands.terminal import console, one_line_errors, shown_progress
    from export.labelling import find_photos_to_label, label_photos

    with one_line_errors(), shown_progress() as progress:
        boxes = label_photos(packages, find_photos_to_label(photos), output, progress)
    console.print(f"wrote {output}, {boxes} boxes", soft_wrap=True)
