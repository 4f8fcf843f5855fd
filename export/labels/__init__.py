"""Class names from files, in the order of the network's outputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from export.errors import ExportError
from service.manifest import Label

FOLDER = Path(__file__).parent
# COCO's ids that none of its objects have, though its paper names something for each.
WITHOUT_OBJECTS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
# Where files that tools write keep their names: YOLO's data.yaml, timm's and transformers'
# config.json, COCO's annotations.
KEYS = ("names", "label_names", "id2label", "categories", "classes")


@dataclass(frozen=True)
class KnownSet:
    """A data set's file, the id of its first line, and whether a background precedes it.

    COCO's ids run to 90 but ten of them name no object; its file has those too, so that a line's
    number is its id, as in the outputs of networks trained on it.

    left_out: ids that the network has no output for.
    """

    file: str
    first_id: int = 0
    background: bool = False
    left_out: frozenset[int] = frozenset()


KNOWN = {
    "imagenet1k": KnownSet("imagenet1k.txt"),
    "coco": KnownSet("coco.txt", first_id=1),
    "coco80": KnownSet("coco.txt", first_id=1, left_out=WITHOUT_OBJECTS),  # YOLO and its kin
    "coco91": KnownSet("coco.txt", first_id=1, background=True),  # torchvision's RetinaNet
}


class LabelsError(ExportError):
    """A labels file that cannot be read; the message says why."""


def read_labels(name_or_path: str) -> tuple[Label, ...]:
    """The labels of a known data set, or of a file.

    A file is a name a line; or JSON or YAML: a list of names, names by number, or one of these
    under one of `KEYS`, as data.yaml, classes.json, config.json and COCO's annotations have them.
    Ids count from zero unless the file has its own. Raises LabelsError.
    """
    if name_or_path in KNOWN:
        return _known(KNOWN[name_or_path])
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise LabelsError(f"{path}: {error}; known sets are {', '.join(KNOWN)}") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: is no text in UTF-8; save it as that") from error
    try:
        if text.startswith(("[", "{")):
            found = _named(json.loads(text))
        elif path.suffix in (".yaml", ".yml"):
            found = _named(yaml.safe_load(text))
        else:
            found = dict(enumerate(text.splitlines()))
    except (ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise LabelsError(
            f"{path}: holds neither a list of names nor names by number, bare or under"
            f" {', '.join(KEYS)} ({str(error).splitlines()[0]})"
        ) from error
    return _labels(found, path)


def _known(known: KnownSet) -> tuple[Label, ...]:
    names = (FOLDER / known.file).read_text(encoding="utf-8").splitlines()
    labels = tuple(
        Label(id=i, name=name)
        for i, name in enumerate(names, known.first_id)
        if i not in known.left_out
    )
    return (Label(id=0, name="background"), *labels) if known.background else labels


def _named(content: object) -> dict[int, str]:
    """Names by id in what a JSON or YAML file holds; raises KeyError, TypeError or ValueError."""
    if isinstance(content, Mapping):
        held = next((content[key] for key in KEYS if key in content), None)
        if held is not None:
            return _named(held)
        if all(isinstance(value, int) for value in content.values()):  # torchvision's class_to_idx
            return {number: _name(name) for name, number in content.items()}
        return {int(number): _name(name) for number, name in content.items()}
    if not isinstance(content, list):
        raise TypeError(f"it is a {type(content).__name__}")
    if all(isinstance(item, Mapping) for item in content):  # COCO's categories
        return {int(item["id"]): _name(item["name"]) for item in content}
    return {number: _name(name) for number, name in enumerate(content)}


def _name(value: object) -> str:
    """A name, or a number that is one. Raises TypeError for what YAML makes of yes, no and null,
    and for a list such as of ImageNet's two names of a class."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{value} is no name; write it as text, in quotes")
    return str(value)


def _labels(found: dict[int, str], path: Path) -> tuple[Label, ...]:
    names = {number: name.strip() for number, name in sorted(found.items())}
    if not names:
        raise LabelsError(f"{path}: needs one name a line")
    empty = [number for number, name in names.items() if not name]
    if empty:
        raise LabelsError(f"{path}: class {empty[0]} has no name; no line may be empty")
    numbered = [name.split(maxsplit=1) for name in names.values()]
    if [parts[0] for parts in numbered] == [str(number) for number in names] and all(
        len(parts) == 2 for parts in numbered
    ):
        names = {number: parts[1] for number, parts in zip(names, numbered, strict=True)}
    return tuple(Label(id=number, name=name) for number, name in names.items())
