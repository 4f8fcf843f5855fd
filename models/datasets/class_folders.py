"""A folder for each class, with its photos."""

from pathlib import Path

from models.datasets.content import (
    Categories,
    ClassFolders,
    DataError,
    Fault,
    LabelledPhoto,
    Reading,
    first_names,
    require_folder,
)
from service.imaging.files import visible_files
from service.imaging.formats import select_photos


def read_class_folders(folder: Path, categories: Categories | None = None) -> Reading[ClassFolders]:
    """Read a folder of one sub-folder a class, each with its photos at any depth.

    Categories are the sub-folders' names, sorted, with ids from 0; or ``categories``, beside which
    there are no others: the training photos' or a model's. A folder is then called as one of them,
    or as its id. What is hidden (its name starts with a dot) is passed over, as are files without a
    suffix of a photo, which a note counts. Raises DataError.
    """
    require_folder(folder)
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        raise DataError(f"{folder}: holds no folder of a class")
    if categories is None:
        categories = tuple(enumerate(classes))
    faults, files = [], []
    for name in classes:
        label = _label_of(folder / name, categories)
        if label is None:
            message = f"is none of {first_names(categories)}, nor the id of one"
            faults.append(Fault(str(folder / name), "unknown class", message))
        else:
            files += [LabelledPhoto(path, label) for path in visible_files(folder / name)]
    photos, note = select_photos(files, lambda file: file.path)
    shown = {photo.label for photo in photos}
    faults += [
        Fault(str(folder / name), "empty class", "holds no photo")
        for label, (_, name) in enumerate(categories)
        if label not in shown
    ]
    notes = () if note is None else (f"{folder}: {note}",)
    return Reading(ClassFolders(tuple(photos), categories), tuple(faults), notes)


def _label_of(folder: Path, categories: Categories) -> int | None:
    """The label of a class folder, by its name or its id; None if it is none. Raises DataError if
    the name is that of several."""
    named = [label for label, (_, name) in enumerate(categories) if name == folder.name]
    if len(named) > 1:
        ids = ", ".join(str(categories[label][0]) for label in named)
        raise DataError(
            f"{folder}: {len(named)} of the classes have this name; use their ids: {ids}"
        )
    numbered = [label for label, (i, _) in enumerate(categories) if str(i) == folder.name]
    return next(iter(named + numbered), None)
