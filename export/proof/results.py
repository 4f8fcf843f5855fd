"""An owner's results in a file, of photos that they were asked about before.

COCO's results     [{"image_id": …, "category_id": …, "bbox": [x, y, width, height], "score": …}]
COCO with scores   {"images": […], "annotations": […]}, as `boxport detect --coco` writes it
answers by photo   {"cat.jpg": ANSWER, …}, see `export.proof.answers`
a classifier's CSV a header of `file` and the labels, and a row of probabilities for each photo

A photo is named by its file's name, with or without its suffix or folders, or in COCO's results by
its number in the annotations. Values may be texts, as spreadsheets and `csv` write them.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from export.proof.answers import OwnerAnswers, ProofError, to_answer
from service.manifest import Label, Task

NAMES = ("file", "file_name", "filename", "image", "photo", "path")  # of a CSV's first column


def read_results(
    path: Path,
    task: Task,
    labels: Sequence[Label],
    photos: Sequence[Path],
    annotations: Path | None = None,
) -> OwnerAnswers:
    """The answers in ``path`` to those of ``photos`` that it has.

    annotations: a COCO file whose images' ids it refers to. Raises ProofError.
    """
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".csv":
            found = _read_csv(text)
        else:
            found = _read_json(json.loads(text), _file_names(annotations))
    except OSError as error:
        raise ProofError(f"{error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProofError(
            f"{path}: is neither COCO's results nor answers by photo: {error}"
        ) from error
    if not found:
        raise ProofError(f"{path}: holds no results")
    named = _by_photo(found, photos, path)
    known = [photo for photo in photos if photo in named]
    if not known:
        raise ProofError(
            f"{path}: is of none of the {len(photos)} photos, such as {photos[0].name}; it is of"
            f" {next(iter(found))}" + ("" if annotations else " (ids of images need --annotations)")
        )
    answers = tuple(
        to_answer(found[named[photo]], task, labels, f"{path}: {photo.name}") for photo in known
    )
    return OwnerAnswers("user_results", path.name, tuple(known), answers)


def _by_photo(found: Mapping[str, Any], photos: Sequence[Path], path: Path) -> dict[Path, str]:
    """What the file calls each photo that it is of, with or without its folders, of which as many
    as can be must be the same. Raises ProofError for a name that is of two photos."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for key in found:
        by_name[_parts(key)[-1]].append(key)
    claims: dict[str, list[Path]] = defaultdict(list)
    for photo in photos:
        keys = [key for name in _names(photo) for key in by_name.get(name, ())]
        if keys:
            claims[max(keys, key=lambda key: _shared(key, photo))].append(photo)
    for key, of_key in claims.items():
        most = max(_shared(key, photo) for photo in of_key)
        first, *others = (photo for photo in of_key if _shared(key, photo) == most)
        if others:
            raise ProofError(f"{path}: {key} may be {first} or {others[0]}; name its folder too")
        claims[key] = [first]
    return {photo: key for key, [photo] in claims.items()}


def _names(photo: Path) -> list[str]:
    """What it may be called, without folders; COCO's files are named by padded numbers."""
    number = [str(int(photo.stem))] if photo.stem.isdecimal() else []
    return list(dict.fromkeys([photo.name, photo.stem, *number]))


def _parts(name: str) -> tuple[str, ...]:
    return (PureWindowsPath(name) if "\\" in name else PurePath(name)).parts or (name,)


def _shared(name: str, photo: Path) -> int:
    """How many folders above it both are in."""
    folders, others = _parts(name)[-2::-1], photo.absolute().parts[-2::-1]
    same = (one == other for one, other in zip(folders, others, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def _read_csv(text: str) -> dict[str, dict[str, float]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    column = next((name for name in NAMES if rows and name in rows[0]), None)
    if column is None:
        raise ValueError(f"a CSV's header names {NAMES[0]!r} and the labels")
    return {row[column]: {k: float(v) for k, v in row.items() if k != column and v} for row in rows}


def _file_names(annotations: Path | None) -> dict[Any, str]:
    """By an image's id."""
    if annotations is None:
        return {}
    return {
        i["id"]: i["file_name"] for i in json.loads(annotations.read_text("utf-8-sig"))["images"]
    }


def _read_json(content: Any, names: Mapping[Any, str]) -> dict[str, Any]:
    """Answers by the names of photos."""
    asked: list[str] = []
    rows = content
    if isinstance(content, dict):
        if not {"images", "annotations"} <= content.keys():
            return content
        names = {image["id"]: image["file_name"] for image in content["images"]}
        asked, rows = list(names.values()), content["annotations"]
    answers: dict[str, Any] = defaultdict(lambda: {"boxes": [], "scores": [], "labels": []})
    for name in asked:
        answers[name]  # one without a row has no detection
    for row in rows:
        left, top, width, height = map(float, row["bbox"])
        answer = answers[str(names.get(row["image_id"], row["image_id"]))]
        answer["boxes"].append([left, top, left + width, top + height])
        answer["scores"].append(row["score"])
        answer["labels"].append(row["category_id"])
    return dict(answers)
