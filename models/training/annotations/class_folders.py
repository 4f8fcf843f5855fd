"""A folder for each class, with its photos."""

from pathlib import Path

from models.training.annotations.content import (
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
    there are no others: the training photos', where these are the validation's. What is hidden
    (its name starts with a dot) is passed over, as are files without a suffix of a photo, which the
    note counts. Raises DataError.
    """
    require_folder(folder)
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        raise DataError(f"{folder}: holds no folder of a class")
    if categories is None:
        categories = tuple(enumerate(classes))
    known = [name for _, name in categories]
    faults = [
        Fault(str(folder / name), "unknown class", f"is none of {first_names(categories)}")
        for name in classes
        if name not in known
    ]
    files = [
        LabelledPhoto(path, label)
        for label, name in enumerate(known)
        for path in visible_files(folder / name)
    ]
    photos, note = select_photos(files, lambda file: file.path)
    shown = {photo.label for photo in photos}
    faults += [
        Fault(str(folder / name), "empty class", "holds no photo")
        for label, name in enumerate(known)
        if label not in shown
    ]
    return Reading(ClassFolders(tuple(photos), categories), tuple(faults), note)
