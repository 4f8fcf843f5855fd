"""Reading a data set: checked photos to train on, and checked photos to evaluate on."""

from collections import Counter

from models.datasets.content import Annotations, Content, DataError, Fault, Kind
from models.datasets.layouts import DataSet, Split
from models.datasets.rows import Outside
from models.datasets.splits import hold_out
from models.training.check import check_photos
from models.training.console import progress_bar, say
from models.training.devices import Process

FIRST = 5  # faults of a kind that are shown

# What the options do with faults of a kind, beside leaving out what is wrong.
REMEDIES: dict[Kind, str] = {
    "box outside": "--clip-boxes clips those that lie partly within, --skip-bad leaves them out",
    "duplicate category": "--skip-bad joins them",
    "bad category": "--skip-bad leaves it out, with its objects",
    "empty class": "--skip-bad leaves it out",
}


def read_data(
    data: DataSet[Content],
    share: float | None,
    skip_bad: bool,
    outside: Outside,
    process: Process,
) -> tuple[Content, Content]:
    """The training and the validation photos; ``share`` of the photos is held out.

    Raises DataError, after a line for each kind of fault, unless these are to be left out.
    """
    parts: list[Content] = []
    faults: list[Fault] = []
    categories = None
    for split in _splits(data, share):
        reading = split.read(categories=categories, outside=outside)
        categories = reading.annotations.categories
        name = split.name or split.source.name
        say(process, f"{data.path}, {data.layout}, {name}: {reading.annotations}")
        for note in reading.notes:
            say(process, note)
        good, found = _checked(reading.annotations, f"checking {name}", process)
        faults += [*reading.faults, *found]
        parts.append(good)
    for line in summarise(faults):
        say(process, line)
    if faults and not skip_bad:
        raise DataError(f"{data.path}: {_count(len(faults), 'fault')}; correct what is said above")
    if not all(part.photos for part in parts):
        raise DataError(f"{data.path}: no usable photo is left to train on, or none to evaluate on")
    parts = _without_unused(parts, skip_bad, process)
    training, validation = parts if share is None else hold_out(parts[0], share)
    if isinstance(validation, Annotations) and not any(p.learned for p in validation.photos):
        raise DataError(f"{data.path}: none of the photos to measure on has a box")
    return training, validation


def summarise(faults: list[Fault]) -> list[str]:
    """A line for each kind, with its number and what can be done, and the first few of it."""
    lines = []
    for kind, number in Counter(fault.kind for fault in faults).items():
        remedy = REMEDIES.get(kind, "--skip-bad leaves what is wrong out")
        lines.append(f"{kind}: {_count(number, 'fault')}; {remedy}")
        shown = [fault for fault in faults if fault.kind == kind][:FIRST]
        lines += [f"  {fault}" for fault in shown]
        if number > FIRST:
            lines.append(f"  … and {number - FIRST} more")
    return lines


def unseen_classes(training: Content, validation: Content) -> list[str]:
    """Names of the classes that only photos to measure on show."""
    unseen = validation.used() - training.used()
    return [training.categories[label][1] for label in sorted(unseen)]


def _splits(data: DataSet[Content], share: float | None) -> list[Split[Content]]:
    """What is to be read: two splits, or one of which ``share`` is to be held out.

    Raises DataError where it is not clear what to measure on.
    """
    training, validation = data.training(), data.validation()
    if share is not None and validation is not None:
        raise DataError(
            f"{validation.source}: has photos to measure on; leave --validation-share out"
        )
    if share is not None:
        return [training]
    if validation is None:
        raise DataError(
            f"{data.path}: {data.layout}, without photos to measure on; add a split val, or hold a"
            " tenth of the photos out: --validation-share 0.1"
        )
    return [training, validation]


def _checked(content: Content, name: str, process: Process) -> tuple[Content, list[Fault]]:
    with progress_bar(process) as progress:
        bar = progress.add_task(name, total=len(content.photos))
        return check_photos(content, lambda done, _: progress.update(bar, completed=done))


def _without_unused(parts: list[Content], skip_bad: bool, process: Process) -> list[Content]:
    """The categories that nothing is of are said, and left out with ``skip_bad``."""
    categories = parts[0].categories
    unused = set(range(len(categories))).difference(*(part.used() for part in parts))
    if not unused:
        return parts
    names = ", ".join(
        f"{categories[label][1]} ({categories[label][0]})" for label in sorted(unused)
    )
    what = "left out" if skip_bad else "an output that learns nothing; --skip-bad leaves it out"
    say(process, f"unused category: {len(unused)}, which no photo shows: {names}: {what}")
    return [part.without(unused) for part in parts] if skip_bad else parts


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
