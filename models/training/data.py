"""Reading a data set: checked photos to train on, and checked photos to evaluate on."""

from pathlib import Path

from models.training.annotations.content import Annotations, ClassFolders, DataError, Fault
from models.training.check import check_photos
from models.training.console import progress_bar, say
from models.training.devices import Process
from models.training.splits import class_layout, detection_layout, hold_out
from service.manifest import Task

Content = Annotations | ClassFolders


def read_data(
    data: Path,
    images: Path | None,
    share: float | None,
    task: Task,
    skip_bad: bool,
    process: Process,
) -> tuple[Content, Content]:
    """The training and the validation photos, of one task; ``share`` of the photos is held out.

    Raises DataError, after a line for each fault, unless these are to be left out.
    """
    layout = detection_layout(data, images) if task == "detection" else class_layout(data)
    checked: list[Content] = []
    faults: list[Fault] = []
    categories = None
    for split in layout.splits(share):
        reading = layout.read(split, categories)
        good, found = _checked(reading.annotations, f"checking {split}", process)
        faults += [*reading.faults, *found]
        if reading.note is not None:
            say(process, f"{data}, {split}: {reading.note}")
        checked.append(good)
        categories = reading.annotations.categories
    for fault in faults:
        say(process, f"{fault.kind}: {fault}")
    if faults and not skip_bad:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DataError(f"{data}: {count}, listed above; correct them, or pass --skip-bad")
    if not all(split.photos for split in checked):
        raise DataError(f"{data}: no usable photo is left to train on, or none to evaluate on")
    training, validation = checked if share is None else hold_out(checked[0], share)
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


def _checked(content: Content, name: str, process: Process) -> tuple[Content, list[Fault]]:
    with progress_bar(process) as progress:
        bar = progress.add_task(name, total=len(content.photos))
        return check_photos(content, lambda done, _: progress.update(bar, completed=done))


def _check_objects(data: Path, validation: Content) -> None:
    if isinstance(validation, Annotations) and not any(len(p.boxes) for p in validation.photos):
        raise DataError(f"{data}: none of the photos to measure on has a box")
