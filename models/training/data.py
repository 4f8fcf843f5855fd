"""A data set, checked: photos to train on and photos to measure on, all of them sound."""

from pathlib import Path

from models.training.annotations import Annotations, ClassFolders, DataError, Fault
from models.training.check import check_photos
from models.training.console import progress_bar, say
from models.training.devices import Place
from models.training.splits import class_layout, detection_layout, hold_out
from service.manifest import Task

Content = Annotations | ClassFolders


def read_data(
    data: Path, images: Path | None, share: float | None, task: Task, skip_bad: bool, place: Place
) -> tuple[Content, Content]:
    """What to train on and what to measure on, of one kind; ``share`` of the photos is held out.

    Raises DataError, after a line for each fault, unless these are to be left out.
    """
    layout = detection_layout(data, images) if task == "detection" else class_layout(data)
    sound: list[Content] = []
    faults: list[Fault] = []
    categories = None
    for split in layout.splits(share):
        reading = layout.read(split, categories)
        good, found = _checked(reading.annotations, f"checking {split}", place)
        faults += [*reading.faults, *found]
        if reading.note is not None:
            say(place, f"{data}, {split}: {reading.note}")
        sound.append(good)
        categories = reading.annotations.categories
    for fault in faults:
        say(place, f"{fault.kind}: {fault}")
    if faults and not skip_bad:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DataError(f"{data}: {count}, listed above; mend them, or leave them out: --skip-bad")
    if not all(split.photos for split in sound):
        raise DataError(f"{data}: no sound photo is left to train on, or none to measure on")
    training, validation = sound if share is None else hold_out(sound[0], share)
    _check_objects(data, validation)
    return training, validation


def describe(content: Content) -> str:
    """In a few words, such as "40 photos with 95 boxes of 3 classes"."""
    classes = f"{len(content.categories)} classes"
    if isinstance(content, ClassFolders):
        return f"{len(content.photos)} photos of {classes}"
    boxes = sum(len(photo.boxes) for photo in content.photos)
    return f"{len(content.photos)} photos with {boxes} boxes of {classes}"


def unseen_classes(training: Content) -> list[str]:
    """Names of the classes that no photo shows."""
    if isinstance(training, ClassFolders):
        seen = {photo.label for photo in training.photos}
    else:
        seen = {label for photo in training.photos for label in photo.labels.tolist()}
    return [name for label, (_, name) in enumerate(training.categories) if label not in seen]


def _checked(content: Content, name: str, place: Place) -> tuple[Content, list[Fault]]:
    with progress_bar(place) as progress:
        bar = progress.add_task(name, total=len(content.photos))
        return check_photos(content, lambda done, _: progress.update(bar, completed=done))


def _check_objects(data: Path, validation: Content) -> None:
    if isinstance(validation, Annotations) and not any(len(p.boxes) for p in validation.photos):
        raise DataError(f"{data}: none of the photos to measure on has a box")
