"""Class names from files: one name a line, in the order of the network's outputs."""

from pathlib import Path

from service.manifest import Label

KNOWN = {"imagenet1k": Path(__file__).parent / "labels" / "imagenet1k.txt"}


class LabelsError(Exception):
    """A labels file that cannot be read; the message says why."""


def read_labels(name_or_path: str) -> tuple[Label, ...]:
    """The labels of a known data set, or of a file; ids count from zero. Raises LabelsError."""
    path = KNOWN.get(name_or_path, Path(name_or_path))
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: {error}; known sets are {', '.join(KNOWN)}") from error
    if not names or not all(names):
        raise LabelsError(f"{path}: needs one name a line, and no empty line")
    return tuple(Label(id=i, name=name) for i, name in enumerate(names))
