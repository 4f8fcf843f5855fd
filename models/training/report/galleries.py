"""The photos that a report shows, and what it says of each."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.evaluation import MATCH_IOU, NOTHING, PhotoMatch
from models.training.report.page import data_uri
from service.imaging.files import PhotoError, read_image

PHOTO_SIDE, JPEG_QUALITY = 480, 80  # of the photos in the page
MISTAKES, MISSES, BEST = 9, 6, 3  # photos of each gallery
NEAR_IOU = 0.1  # a detection that overlaps its object by this, but not by MATCH_IOU, is misplaced
REMARKS_OF_A_KIND = 4  # below a photo; the rest is counted
BOXES_OF_A_ROLE = 6  # on a photo, of mistakes and of misses: crowds would hide what is behind them

Kind = Literal["wrong class", "false", "badly placed", "found twice", "missed"]
KINDS: tuple[Kind, ...] = ("wrong class", "false", "badly placed", "found twice", "missed")
Role = Literal["truth", "missed", "right", "wrong"]
ROLES: tuple[Role, ...] = ("truth", "missed", "right", "wrong")


@dataclass(frozen=True)
class DrawnBox:
    """A box on a photo: x, y, width, height in the pixels that `Example` tells the size of.

    role: "truth", or "missed" for an object that nothing found; "right" or "wrong" for a detection.
    """

    bbox: tuple[float, float, float, float]
    label: str
    role: Role


@dataclass(frozen=True)
class Marked:
    """A box of a photo of ``width`` x ``height``; ``bbox`` as a `DrawnBox` has it."""

    bbox: tuple[float, float, float, float]
    width: int
    height: int


@dataclass(frozen=True)
class Remark:
    """What is wrong in a photo, in words; ``score`` in 0..1 is the detection's, 0 for a miss."""

    kind: Kind
    text: str
    score: float = 0.0


@dataclass(frozen=True)
class Example:
    """A photo of the page; ``width`` and ``height`` in pixels, 0 if it has no boxes.

    alt: what is to be seen, for those who do not see it. caption: a line below the photo.
    """

    path: Path
    width: int
    height: int
    alt: str
    caption: str
    boxes: tuple[DrawnBox, ...] = ()
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Examples under a heading, in the order in which they are shown."""

    title: str
    explanation: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class JudgedPhoto:
    image: dict[str, Any]
    match: PhotoMatch
    remarks: tuple[Remark, ...]

    @property
    def worst_score(self) -> float:
        return max((remark.score for remark in self.remarks), default=0.0)

    @property
    def largest_miss(self) -> float:
        """Share of the photo that the largest object takes which nothing found."""
        area = self.image["width"] * self.image["height"]
        missed = set(range(len(self.match.objects))).difference(self.match.found)
        boxes = [self.match.objects[j]["bbox"] for j in missed]
        return max((width * height / area for _, _, width, height in boxes), default=0.0)

    @property
    def merit(self) -> tuple[int, float]:
        """Several objects are worth more than one that fills the photo."""
        lowest = min((row.score for row in self.match.detections), default=0.0)
        return min(len(self.match.objects), 3), lowest


def remarks(match: PhotoMatch, names: Mapping[int, str]) -> tuple[Remark, ...]:
    """What is wrong in a photo. An object with a badly placed detection is not missed as well."""
    remarks, near = [], set()
    for i, (row, j) in enumerate(zip(match.detections, match.found, strict=True)):
        text = f"{names[row.category_id]} {row.score:.2f}"
        if j is not None:
            true_id = match.objects[j]["category_id"]
            if true_id != row.category_id:
                remarks.append(Remark("wrong class", f"{text} for {names[true_id]}", row.score))
            continue
        free, taken = _nearest(match, i)
        if free is not None and match.overlaps[i, free] >= NEAR_IOU:
            near.add(free)
            text = f"{text} (overlap {match.overlaps[i, free]:.2f})"
            remarks.append(Remark("badly placed", text, row.score))
        elif taken is not None and match.overlaps[i, taken] >= MATCH_IOU:
            remarks.append(Remark("found twice", text, row.score))
        else:
            remarks.append(Remark("false", text, row.score))
    missed = set(range(len(match.objects))).difference(match.found, near)
    remarks += [Remark("missed", names[match.objects[j]["category_id"]]) for j in sorted(missed)]
    return tuple(remarks)


def _nearest(match: PhotoMatch, detection: int) -> tuple[int | None, int | None]:
    """The object of its class that a detection overlaps most: of those not found, and of others."""
    category = match.detections[detection].category_id
    same = [j for j, row in enumerate(match.objects) if row["category_id"] == category]
    same.sort(key=lambda j: -match.overlaps[detection, j])
    free = next((j for j in same if j not in match.found), None)
    return free, next((j for j in same if j in match.found), None)


def detection_galleries(
    photos: list[JudgedPhoto], names: Mapping[int, str], photo_path: Callable[[int], Path]
) -> tuple[Gallery, ...]:
    mistaken = sorted((p for p in photos if p.worst_score), key=lambda p: -p.worst_score)
    mistaken = mistaken[:MISTAKES]
    shown = {photo.image["id"] for photo in mistaken}
    missed = [p for p in photos if p.largest_miss and p.image["id"] not in shown]
    missed = sorted(missed, key=lambda p: -p.largest_miss)[:MISSES]
    right = [p for p in photos if p.match.objects and not p.remarks]
    right = sorted(right, key=lambda p: p.merit, reverse=True)[:BEST]

    def examples(chosen: list[JudgedPhoto]) -> list[Example]:
        return [_example(photo, names, photo_path) for photo in chosen]

    confident = (
        "The photos whose wrong detections score highest, and at most"
        f" {BOXES_OF_A_ROLE} of these in each."
    )
    return _galleries(
        ("Most confident mistakes", confident, examples(mistaken)),
        ("Overlooked", "The photos whose missed objects are largest.", examples(missed)),
        ("At its best", "Every object found, and nothing else.", examples(right)),
    )


def _galleries(*rows: tuple[str, str, list[Example]]) -> tuple[Gallery, ...]:
    """Those that have examples, each from its title, explanation and examples."""
    return tuple(Gallery(title, text, tuple(shown)) for title, text, shown in rows if shown)


def _example(
    photo: JudgedPhoto, names: Mapping[int, str], photo_path: Callable[[int], Path]
) -> Example:
    match, image = photo.match, photo.image
    path = photo_path(image["id"])
    return Example(
        path,
        image["width"],
        image["height"],
        alt=f"Photo with {_listed([names[row['category_id']] for row in match.objects])};"
        f" detected: {_listed([names[row.category_id] for row in match.detections])}",
        caption=path.name,
        boxes=_drawn_boxes(match, names),
        remarks=photo.remarks,
    )


def _drawn_boxes(match: PhotoMatch, names: Mapping[int, str]) -> tuple[DrawnBox, ...]:
    """Objects and detections; of mistakes the most confident, of what was missed the largest.

    What is wrong comes last, to be drawn on top.
    """
    boxes: dict[Role, list[DrawnBox]] = {role: [] for role in ROLES}
    for j, row in enumerate(match.objects):
        role, label = ("truth", "") if j in match.found else ("missed", names[row["category_id"]])
        boxes[role].append(DrawnBox(tuple(row["bbox"]), label, role))
    for row, j in zip(match.detections, match.found, strict=True):
        right = j is not None and match.objects[j]["category_id"] == row.category_id
        role = "right" if right else "wrong"
        label = f"{names[row.category_id]} {row.score:.2f}"
        boxes[role].append(DrawnBox(row.bbox, label, role))
    boxes["missed"].sort(key=lambda box: -box.bbox[2] * box.bbox[3])
    for role in ("missed", "wrong"):
        del boxes[role][BOXES_OF_A_ROLE:]
    return tuple(itertools.chain(*boxes.values()))


def classification_galleries(
    names: Sequence[str],
    probabilities: NDArray[np.floating],
    labels: Sequence[int],
    photo_paths: Sequence[Path],
    marked: Sequence[Marked | None] | None = None,
) -> tuple[Gallery, ...]:
    answers = probabilities.argmax(axis=1)
    order = np.argsort(-probabilities.max(axis=1), kind="stable").tolist()

    def example(i: int) -> Example:
        answer, truth = names[answers[i]], names[labels[i]]
        text = f"{answer} {probabilities[i, answers[i]]:.2f}"
        remark = Remark("wrong class", f"{text} for {truth}", float(probabilities[i].max()))
        wrong = answer != truth
        mark = marked[i] if marked else None
        return Example(
            photo_paths[i],
            width=mark.width if mark else 0,
            height=mark.height if mark else 0,
            alt=f"Photo of {truth}" + (f", taken for {answer}" if wrong else ", recognised"),
            caption=photo_paths[i].name if wrong else f"{text} · {photo_paths[i].name}",
            boxes=(DrawnBox(mark.bbox, answer, "wrong" if wrong else "right"),) if mark else (),
            remarks=(remark,) if wrong else (),
        )

    wrong = [i for i in order if answers[i] != labels[i]][:MISTAKES]
    right = [i for i in order if answers[i] == labels[i]][:BEST]
    confident = "The wrong answers of the highest probability."
    best = "The right answers of the highest probability."
    return _galleries(
        ("Most confident mistakes", confident, [example(i) for i in wrong]),
        ("At its best", best, [example(i) for i in right]),
    )


def embed(example: Example) -> str | None:
    """The photo as a small JPEG in a data: URI; None if it cannot be read."""
    try:
        photo = read_image(example.path)
    except PhotoError:  # a report with a gap is worth more than none, after hours of training
        return None
    photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    return data_uri(photo, "JPEG", quality=JPEG_QUALITY)


@dataclass(frozen=True)
class _Chip:
    """A box's label on a photo, in its pixels; ``size`` is the height of the letters' line."""

    label: str
    role: Role
    x: float
    y: float
    width: float
    height: float
    size: float

    def covers(self, other: "_Chip") -> bool:
        beside = self.x >= other.x + other.width or other.x >= self.x + self.width
        return not (beside or self.y >= other.y + other.height or other.y >= self.y + self.height)


def chips(example: Example) -> list[_Chip]:
    """The labels of an example's boxes, mistakes first, as far as each finds a place of its own.

    What goes without a label in a crowded photo still has its box, and its remark below.
    """
    order = ("wrong", "missed", "right", "truth")
    chips: list[_Chip] = []
    for box in sorted(example.boxes, key=lambda box: order.index(box.role)):
        for chip in _places(box, example) if box.label else ():
            if not any(chip.covers(other) for other in chips):
                chips.append(chip)
                break
    return chips


def _places(box: DrawnBox, example: Example) -> list[_Chip]:
    """Where a label may go, the best place first: at the corners of its box, within the photo."""
    # Photos are fitted into 4:3, where the letters are to be of one size.
    size = 0.034 * max(example.width, example.height * 4 / 3)
    width, height = size * (0.58 * len(box.label) + 0.6), 1.35 * size
    x, y, box_width, box_height = box.bbox
    above, top, bottom, below = y - height, y, y + box_height - height, y + box_height
    # Labels of missed objects keep to the bottom, out of the way of the detections'.
    ys = (bottom, below, top, above) if box.role == "missed" else (above, top, bottom, below)
    xs = (x, x + box_width - width)
    return [
        _Chip(
            box.label,
            box.role,
            max(0.0, min(chip_x, example.width - width)),
            max(0.0, min(chip_y, example.height - height)),
            width,
            height,
            size,
        )
        for chip_x in xs
        for chip_y in ys
    ]


def together(remarks: Sequence[Remark]) -> dict[str, str]:
    """Kind → all remarks of it in a line: what is wrong in a photo, briefly."""
    lines = {}
    for kind in KINDS:
        texts = [remark.text for remark in remarks if remark.kind == kind]
        if texts:
            lines[kind] = _listed(texts)
    return lines


def _listed(texts: Sequence[str]) -> str:
    counts = Counter(texts).items()
    parts = [text if n == 1 else f"{text} ×{n}" for text, n in counts]  # noqa: RUF001
    more = len(parts) - REMARKS_OF_A_KIND
    if more > 0:
        parts = [*parts[:REMARKS_OF_A_KIND], f"{more} more"]
    return ", ".join(parts) or NOTHING
