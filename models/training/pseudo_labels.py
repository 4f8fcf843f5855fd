"""What a teacher finds in the training photos, beside what they are annotated with.

A teacher's boxes are kept in a COCO file in which each has a score, so that they are computed once.
Annotated boxes always win. Of the others the sure ones are learned, as in STAC (arXiv 2005.04757);
the unsure ones become regions in which their class is neither learned nor punished.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from models.boxes import box_iou
from models.datasets.content import Annotations, Categories, DataError, Object, Photo, read_json
from models.datasets.rows import is_number
from models.training.recipe import TrainingError

SURE = 0.5  # score from which a teacher's box is learned
UNSURE = 0.15  # score from which it is a region that is not punished
SAME_OBJECT = 0.5  # IoU above which two boxes are of one object

# How much of a box's quality is where it lies, and not its score: the exponent that PGD uses for
# detectors with anchors (arXiv 2203.05469, section 4.1).
PLACE_SHARE = 0.6

# What VOC calls otherwise than COCO does, but for spaces.
SYNONYMS = {"aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv"}

Quality = TypeVar("Quality", float, Tensor)


@dataclass(frozen=True)
class PseudoLabels:
    """found: a teacher's boxes, by the name of their photo. taught: the labels of the classes that
    it knows."""

    found: Mapping[str, tuple[Object, ...]]
    taught: frozenset[int]

    def of(self, path: Path) -> tuple[Object, ...] | None:
        """What was found in a photo, which the file calls by its path or the end of that."""
        names = (str(Path(*path.parts[start:])) for start in range(len(path.parts)))
        return next((self.found[name] for name in names if name in self.found), None)


def ask_teacher(packages: Sequence[Path], photos: Sequence[Photo], file: Path) -> None:
    """Have `python -m export label` write to ``file`` what model packages find in ``photos``, but
    for those that it says already. Raises TrainingError.

    In a process of its own, because training itself knows nothing of packages and ONNX Runtime.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listing:
        listing.write("\n".join(str(photo.path) for photo in photos))
        listing.flush()
        command = [sys.executable, "-m", "export", "label", *map(str, packages)]
        options = ["--photos", listing.name, "--output", str(file)]
        if subprocess.run([*command, *options], check=False).returncode:
            raise TrainingError("the teacher did not label the photos; the reason stands above")


def add_pseudo_labels(annotations: Annotations, file: Path, distill: float = 0.0) -> Annotations:
    """``annotations`` with what a teacher found in their photos, by `join`. Raises DataError."""
    labels = read_pseudo_labels(file, annotations.categories)
    photos = []
    for photo in annotations.photos:
        found = labels.of(photo.path)
        if found is None:
            raise DataError(f"{file}: does not say what a teacher finds in {photo.path}")
        photos.append(join(photo, found, distill, labels.taught))
    return replace(annotations, photos=tuple(photos))


def join(
    photo: Photo,
    found: Sequence[Object],
    distill: float = 0.0,
    taught: Set[int] | None = None,
) -> Photo:
    """``photo`` with those of ``found`` that are none of its objects.

    A box that overlaps an object of its own class is that object. One that overlaps an object of
    another class, or scores below `SURE`, is ignored; the others are learned.

    ``distill``, 0 to 1, softens the targets ("Learning Efficient Object Detection Models with
    Knowledge Distillation", NeurIPS 2017, equation 3): (1 - distill) + distill * quality. Of a box
    of the teacher alone the quality is its score; of an annotated object it is what the teacher
    makes of it, score^.4 * IoU^.6 of the best box of its class, or 0 if there is none (PGD, arXiv
    2203.05469, equation 2). Objects whose label is none of ``taught``, which the teacher knows
    (None: all), keep a target of 1.
    """
    known = photo.learned
    overlaps = box_iou(_boxes(found), _boxes(known))  # [found, known]
    taken = overlaps > SAME_OBJECT
    same = taken & (_labels(found)[:, None] == _labels(known))
    scores = torch.tensor([thing.score for thing in found], dtype=torch.float64)[:, None]
    quality = same * scores ** (1 - PLACE_SHARE) * overlaps**PLACE_SHARE
    none = quality.new_zeros(1, len(known))
    targets = _soften(torch.cat((quality, none)).amax(dim=0), distill).tolist()
    objects = [thing for thing in photo.objects if thing.ignored]
    objects += [
        replace(thing, score=target) if taught is None or thing.label in taught else thing
        for thing, target in zip(known, targets, strict=True)
    ]
    for thing, is_known, is_taken in zip(found, same.any(dim=1), taken.any(dim=1), strict=True):
        if is_taken or thing.score < SURE:
            objects += [] if is_known else [replace(thing, ignored=True)]
        else:
            objects.append(replace(thing, score=_soften(thing.score, distill)))
    return replace(photo, objects=tuple(objects))


def read_pseudo_labels(file: Path, categories: Categories) -> PseudoLabels:
    """A teacher's boxes that score `UNSURE` or more, of the classes that ``categories`` name
    (`class_key`). Raises DataError."""
    content = read_json(file)
    labels = {class_key(name): label for label, (_, name) in enumerate(categories)}
    try:
        names = {row["id"]: row["file_name"] for row in content["images"]}
        of_category = {r["id"]: labels.get(class_key(r["name"])) for r in content["categories"]}
        found: dict[str, list[Object]] = {name: [] for name in names.values()}
        for row in content["annotations"]:
            label, (x, y, width, height) = of_category[row["category_id"]], row["bbox"]
            if not all(map(is_number, (x, y, width, height, row["score"]))):
                raise ValueError
            if label is not None and row["score"] >= UNSURE:
                box = (x, y, x + width, y + height)
                found[names[row["image_id"]]].append(Object(label, box, score=row["score"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: is not a COCO file of boxes with scores") from error
    taught = frozenset(label for label in of_category.values() if label is not None)
    return PseudoLabels({name: tuple(objects) for name, objects in found.items()}, taught)


def class_key(name: str) -> str:
    """What the names of one class have in common: letters and digits, of VOC's as COCO has them."""
    plain = "".join(character for character in name.lower() if character.isalnum())
    return SYNONYMS.get(plain, plain)


def _boxes(objects: Sequence[Object]) -> Tensor:
    return torch.tensor([thing.box for thing in objects], dtype=torch.float64).reshape(-1, 4)


def _labels(objects: Sequence[Object]) -> Tensor:
    return torch.tensor([thing.label for thing in objects], dtype=torch.int64)


def _soften(quality: Quality, distill: float) -> Quality:
    return 1 - distill + distill * quality
