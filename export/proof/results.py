"""An owner's results in a file, of photos that they were asked about before.

COCO's results     [{"image_id": …, "category_id": …, "bbox": [x, y, width, height], "score": …}]
COCO with scores   {"images": […], "annotations": […]}, as `boxport detect --coco` writes it
answers by photo   {"cat.jpg": ANSWER, …}, see `export.proof.answers`
a classifier's CSV a header of `file` and the labels, and a row of probabilities for each photo

A photo is named by its file's name, with or without its suffix, or in COCO's results by its number
in the annotations.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
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
    by_name = _by_name(found)
    known = [photo for photo in photos if _names(photo) & by_name.keys()]
    if not known:
        first = next(iter(found), "none")
        raise ProofError(
            f"{path}: is of none of the {len(photos)} photos, such as {photos[0].name}; it is of"
            f" {first}" + ("" if annotations else " (ids of images need --annotations)")
        )
    answers = []
    for photo in known:
        content = next(by_name[name] for name in (photo.name, photo.stem) if name in by_name)
        answers.append(to_answer(content, task, labels, f"{path}: {photo.name}"))
    return OwnerAnswers("user_results", path.name, tuple(known), tuple(answers))


def _names(photo: Path) -> set[str]:
    return {photo.name, photo.stem}


def _by_name(found: Mapping[str, Any]) -> dict[str, Any]:
    """By each name that a photo may be called."""
    return {name: answer for key, answer in found.items() for name in (Path(key).name, key)}


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
        left, top, width, height = row["bbox"]
        answer = answers[str(names.get(row["image_id"], row["image_id"]))]
        answer["boxes"].append([left, top, left + width, top + height])
        answer["scores"].append(row["score"])
        answer["labels"].append(row["category_id"])
    return dict(answers)
