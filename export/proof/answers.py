"""What an owner's model says of photos, whoever tells it.

Of a detector an answer is {"boxes": […], "scores": […], "labels": […]}, with boxes as left, top,
right, bottom in pixels of the upright photo; of a classifier the probabilities, in the order of the
labels or by label. A label is its name or its id.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from export.errors import ExportError
from service.manifest import Label, Task
from service.matching import Detections

Probabilities = npt.NDArray[np.float64]  # [C], by the labels' order; NaN where nothing is said
Answer = Detections | Probabilities
Source = Literal["user_model", "user_results"]
PARTS = ("boxes", "scores", "labels")


class ProofError(ExportError):
    """A package that was not proven against its owner's model; the message says why, and where
    that is known what to do."""


@dataclass(frozen=True, eq=False)
class OwnerAnswers:
    """An owner's answers to ``photos``, in their order.

    source: how they were given. name: by what file, for messages.
    """

    source: Source
    name: str
    photos: tuple[Path, ...]
    answers: tuple[Answer, ...]

    def among(self, photos: Sequence[Path]) -> str:
        """How many of ``photos`` it answers, in words."""
        left = [photo.name for photo in photos if photo not in self.photos]
        beside = f", without {len(left)} such as {left[0]} that it does not have" if left else ""
        return f"{self.name} on {len(self.photos)} photos{beside}"

    def only(self, chosen: Sequence[int]) -> "OwnerAnswers":
        """Those at these places."""
        photos = tuple(self.photos[i] for i in chosen)
        answers = tuple(self.answers[i] for i in chosen)
        return OwnerAnswers(self.source, self.name, photos, answers)


def to_answer(content: Any, task: Task, labels: Sequence[Label], where: str) -> Answer:
    """``content`` as plain values; raises ProofError naming ``where`` it is."""
    try:
        return _detections(content, labels) if task == "detection" else _shares(content, labels)
    except (TypeError, ValueError, KeyError) as error:
        raise ProofError(f"{where}: {error}") from error


def _detections(content: Any, labels: Sequence[Label]) -> Detections:
    if not isinstance(content, Mapping) or not all(part in content for part in PARTS):
        raise ValueError(
            f"a detector's answer is a dictionary of {', '.join(PARTS)}, and this is"
            f" {_described(content)}"
        )
    boxes = np.array(content["boxes"], dtype=np.float64).reshape(-1, 4)
    scores = np.array(content["scores"], dtype=np.float64).reshape(-1)
    ids = np.array([to_id(label, labels) for label in content["labels"]], dtype=np.int64)
    if not len(boxes) == len(scores) == len(ids):
        raise ValueError(f"{len(boxes)} boxes, {len(scores)} scores and {len(ids)} labels")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("a box or a score is no number")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError("boxes must be left, top, right, bottom, and one ends before it begins")
    if len(scores) and not 0 <= scores.min() <= scores.max() <= 1:
        raise ValueError("scores lie beyond 0 to 1: return them after the activation")
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes, scores, ids).select(order)


def _shares(content: Any, labels: Sequence[Label]) -> Probabilities:
    shares = np.full(len(labels), np.nan)
    if isinstance(content, Mapping):
        places = {label.id: place for place, label in enumerate(labels)}
        for label, value in content.items():
            number = to_id(label, labels)
            if number not in places:
                raise ValueError(f"{label!r} is none of the {len(labels)} labels")
            shares[places[number]] = float(value)
    else:
        values = np.array(content, dtype=np.float64)
        values = values[0] if values.ndim == 2 and len(values) == 1 else values
        if values.shape != shares.shape:
            raise ValueError(
                f"{len(labels)} probabilities are wanted, one for each label, and this is"
                f" {_described(content)}"
            )
        shares = values
    stated = shares[~np.isnan(shares)]
    if not len(stated):
        raise ValueError("there is no probability in it")
    if not -1e-6 <= stated.min() <= stated.max() <= 1 + 1e-6:
        raise ValueError("probabilities lie beyond 0 to 1: return them after softmax or sigmoid")
    return shares


def to_id(label: Any, labels: Sequence[Label]) -> int:
    """The id of a label that is given by its name or its id; an id may be unknown. Raises
    ValueError."""
    if isinstance(label, str):
        named = [one.id for one in labels if one.name == label.strip()]
        if len(named) == 1:
            return named[0]
        if named or not label.strip().lstrip("-").isdigit():
            several = f"the name of {len(named)} labels" if named else "no label"
            raise ValueError(f"{label!r} is {several}; the first is {labels[0].name!r}")
    number = float(label)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{label!r} is neither a label's name nor its id")
    return int(number)


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary of {', '.join(map(str, list(content)[:5])) or 'nothing'}"
    if isinstance(content, (list, tuple)):
        return f"a list of {len(content)}"
    return f"a {type(content).__name__}"
