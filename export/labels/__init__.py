"""Class names from files: one name a line, in the order of the network's outputs."""

from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError
from service.manifest import Label

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class KnownSet:
    """A data set's file, the id of its first line, and whether a background precedes it.

    COCO's ids run to 90 but ten of them name no object; its file has those too, so that a line's
    number is its id, as in the outputs of networks trained on it.
    """

    file: str
    first_id: int = 0
    background: bool = False


KNOWN = {
    "imagenet1k": KnownSet("imagenet1k.txt"),
    "coco": KnownSet("coco.txt", first_id=1),
    "coco91": KnownSet("coco.txt", first_id=1, background=True),  # torchvision's RetinaNet
}


class LabelsError(ExportError):
    """A labels file that cannot be read; the message says why."""


def read_labels(name_or_path: str) -> tuple[Label, ...]:
    """The labels of a known data set, or of a file, whose ids count from zero.

    Raises LabelsError.
    """
    known = KNOWN.get(name_or_path, KnownSet(name_or_path))
    path = FOLDER / known.file if name_or_path in KNOWN else Path(name_or_path)
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: {error}; known sets are {', '.join(KNOWN)}") from error
    if not names or not all(names):
        raise LabelsError(f"{path}: needs one name a line, and no empty line")
    labels = tuple(Label(id=i, name=name) for i, name in enumerate(names, known.first_id))
    return (Label(id=0, name="background"), *labels) if known.background else labels
