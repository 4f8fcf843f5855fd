"""Photos with what both models find in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from export.matching import SAME_OBJECT, Detections, match
from models.training.report.page import data_uri
from service.imaging.files import read_image
from service.imaging.resize import to_input
from service.inference.model import PARAMETERS, open_predictor
from service.inference.task import Row
from service.package import ModelPackage

EXAMPLES = 6
CANDIDATES = 24  # photos that these are chosen from
PHOTO_SIDE, WEBP_QUALITY = 560, 65
# Wide and solid below, narrow and dashed on top: where two coincide both are visible.
REFERENCE_COLOUR, REFERENCE_WIDTH = "#3d8bff", 7
PACKAGE_COLOUR, PACKAGE_WIDTH = "#ffc400", 3
DASH, GAP = 10, 8
LABEL_SIZE, LABEL_HEIGHT = 18, 25
MOST_PAIRS = 8  # shown of a photo

Place = tuple[float, float, float, float]  # xyxy in the page's pixels


@dataclass(frozen=True)
class Pair:
    """One answer of the two models: their scores in 0..1, None where one has no such answer, and
    the overlap of their boxes where both have one."""

    label: str
    reference: float | None
    package: float | None
    iou: float | None = None


@dataclass(frozen=True)
class Example:
    """A photo of the page and the pairs shown with it; ``more`` pairs are not shown."""

    name: str
    picture: str
    alt: str
    pairs: tuple[Pair, ...]
    more: int = 0


def answers_of(package: ModelPackage) -> Callable[[Image.Image], list[Row]]:
    """What gives a photo's rows as the HTTP API does (docs/api.md), with default parameters."""
    predictor = open_predictor(package)
    query = predictor.to_query(PARAMETERS[package.manifest.task]())
    spec = package.manifest.input
    return lambda photo: predictor.run([to_input(photo, spec)], [query])[0]


def make_examples(
    photos: Sequence[Path], reference: ModelPackage, package: ModelPackage
) -> tuple[Example, ...]:
    """What ``reference`` and ``package`` find in some of ``photos``, those with most to find first.

    Raises PhotoError if one cannot be read.
    """
    answer, answer_of_reference = answers_of(package), answers_of(reference)
    answers = {path: answer(read_image(path)) for path in photos[:CANDIDATES]}
    chosen = sorted(answers, key=lambda path: min(len(answers[path]), 4), reverse=True)[:EXAMPLES]
    detects = package.manifest.task == "detection"
    examples = []
    for path in chosen:
        photo = read_image(path)
        expected, actual = answer_of_reference(photo), answers[path]
        pairs = pair_detections(expected, actual) if detects else pair_classes(expected, actual)
        picture = draw(photo, expected, actual) if detects else shrunk(photo)[0]
        found = ", ".join(f"{row['label']} {row['score']:.2f}" for row in actual[:MOST_PAIRS])
        examples.append(
            Example(
                path.name,
                data_uri(picture, "WEBP", quality=WEBP_QUALITY, method=6),
                f"Photo {path.name}; the package finds {found or 'nothing'}",
                tuple(pairs[:MOST_PAIRS]),
                max(0, len(pairs) - MOST_PAIRS),
            )
        )
    return tuple(examples)


def pair_detections(reference: Sequence[Row], package: Sequence[Row]) -> list[Pair]:
    """Each detection with its match of the other model, if it has one; the best score first."""
    matches = match(Detections.from_rows(package), Detections.from_rows(reference), SAME_OBJECT)
    scores = {m.first: (reference[m.second]["score"], m.iou) for m in matches}
    matched = {m.second for m in matches}
    pairs = []
    for i, row in enumerate(package):
        score, iou = scores.get(i, (None, None))
        pairs.append(Pair(row["label"], score, row["score"], iou))
    for j, row in enumerate(reference):
        if j not in matched:
            pairs.append(Pair(row["label"], row["score"], None))
    return sorted(pairs, key=lambda pair: -max(pair.reference or 0, pair.package or 0))


def pair_classes(reference: Sequence[Row], package: Sequence[Row]) -> list[Pair]:
    """Each of the best classes of either model; the score of one that ranks it lower is None."""
    first, second = ({row["label_id"]: row for row in rows} for rows in (reference, package))
    return [
        Pair(row["label"], first.get(i, {}).get("score"), second.get(i, {}).get("score"))
        for i, row in {**first, **second}.items()
    ]


def shrunk(photo: Image.Image) -> tuple[Image.Image, float]:
    """``photo`` at the page's size, and its scale."""
    scale = min(1.0, PHOTO_SIDE / max(photo.size))
    width, height = (max(1, round(side * scale)) for side in photo.size)
    return photo.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2), scale


def draw(photo: Image.Image, reference: Sequence[Row], package: Sequence[Row]) -> Image.Image:
    """``photo`` at the page's size with the boxes of both models."""
    picture, scale = shrunk(photo)
    pen = ImageDraw.Draw(picture)
    for row in reference:
        box = [value * scale for value in row["box"]]
        pen.rectangle(box, outline=REFERENCE_COLOUR, width=REFERENCE_WIDTH)
    inset = (REFERENCE_WIDTH - PACKAGE_WIDTH) / 2  # in the middle of the wide line
    for row in package:
        left, top, right, bottom = (value * scale for value in row["box"])
        _dashed(pen, (left + inset, top + inset, right - inset, bottom - inset))
    _label(pen, package, scale, picture.size)
    return picture


def _dashed(pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for (x1, y1), (x2, y2) in pairwise(corners):
        length = max(abs(x2 - x1), abs(y2 - y1))
        for start in np.arange(0, length, DASH + GAP):
            a, b = start / length, min(1.0, (start + DASH) / length)
            ends = (x1 + (x2 - x1) * a, y1 + (y2 - y1) * a, x1 + (x2 - x1) * b, y1 + (y2 - y1) * b)
            pen.line(ends, fill=PACKAGE_COLOUR, width=PACKAGE_WIDTH)


def _label(
    pen: ImageDraw.ImageDraw, package: Sequence[Row], scale: float, size: tuple[int, int]
) -> None:
    """The package's labels at the corners of their boxes, the best first; one that would cover
    another is left out, as the table below the photo has them all."""
    font = ImageFont.load_default(LABEL_SIZE)
    taken: list[Place] = []
    for row in package:
        text = f"{row['label']} {row['score']:.2f}"
        for place in _places(row, scale, size, pen.textlength(text, font=font) + 10):
            if not any(_cover(place, other) for other in taken):
                taken.append(place)
                left, top, _, bottom = place
                pen.rectangle(place, fill=PACKAGE_COLOUR)
                middle = (left + 5, (top + bottom) / 2)
                pen.text(middle, text, fill="#15181d", font=font, anchor="lm")
                break


def _places(row: Row, scale: float, size: tuple[int, int], width: float) -> list[Place]:
    """Where a label may go, within the photo: above its box, below it, and inside its corners."""
    left, top, right, bottom = (value * scale for value in row["box"])
    return [
        (x, y, x + width, y + LABEL_HEIGHT)
        for x in (max(0.0, min(edge, size[0] - width)) for edge in (left, right - width))
        for y in (top - LABEL_HEIGHT, bottom, top, bottom - LABEL_HEIGHT)
        if 0 <= y <= size[1] - LABEL_HEIGHT
    ]


def _cover(a: Place, b: Place) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
