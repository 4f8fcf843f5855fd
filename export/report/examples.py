"""Photos with what both models see in them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from export.matching import SAME_OBJECT, Detections, match
from service.imaging.files import read_image
from service.imaging.resize import to_input
from service.inference.model import PARAMETERS, open_predictor
from service.inference.task import Row
from service.package import ModelPackage

EXAMPLES = 6
CANDIDATES = 24  # photos that these are chosen from
PHOTO_SIDE, WEBP_QUALITY = 560, 65
# Wide and whole below, narrow and dashed on top: where one lies on the other both are seen.
REFERENCE_COLOUR, REFERENCE_WIDTH = "#3d8bff", 7
PACKAGE_COLOUR, PACKAGE_WIDTH = "#ffc400", 3
DASH, GAP = 10, 8
LABEL_SIZE, LABEL_HEIGHT = 18, 25
MOST_PAIRS = 8  # told of a photo

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
    """A photo of the page, with what is told of it; ``more`` pairs are not."""

    name: str
    picture: str
    alt: str
    pairs: tuple[Pair, ...]
    more: int = 0


class Answerer:
    """A package as the service would ask it, with its own default thresholds."""

    def __init__(self, package: ModelPackage) -> None:
        self._predictor = open_predictor(package)
        self._query = self._predictor.to_query(PARAMETERS[package.manifest.task]())

    def answer(self, photo: Image.Image) -> list[Row]:
        """Rows as the HTTP API gives them (docs/api.md), the best first."""
        image = to_input(photo, self._predictor.manifest.input)
        return self._predictor.run([image], [self._query])[0]


def make_examples(
    photos: Sequence[Path], reference: ModelPackage, package: ModelPackage
) -> tuple[Example, ...]:
    """What ``reference`` and ``package`` see in some of ``photos``, those with most to see first.

    Raises PhotoError if one cannot be read.
    """
    ours, theirs = Answerer(package), Answerer(reference)
    answers = {path: ours.answer(read_image(path)) for path in photos[:CANDIDATES]}
    chosen = sorted(answers, key=lambda path: min(len(answers[path]), 4), reverse=True)[:EXAMPLES]
    examples = []
    for path in chosen:
        photo = read_image(path)
        rows, own = theirs.answer(photo), answers[path]
        detects = package.manifest.task == "detection"
        pairs = pair_detections(rows, own) if detects else pair_classes(rows, own)
        examples.append(
            Example(
                path.name,
                embed(draw(photo, rows, own) if detects else shrunk(photo)[0]),
                f"Photo {path.name}; the package sees {seen(own)}",
                tuple(pairs[:MOST_PAIRS]),
                max(0, len(pairs) - MOST_PAIRS),
            )
        )
    return tuple(examples)


def seen(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row['label']} {row['score']:.2f}" for row in rows[:MOST_PAIRS]) or "nothing"


def pair_detections(reference: Sequence[Row], package: Sequence[Row]) -> list[Pair]:
    """Each detection with its match of the other model, if it has one; the best score first."""
    matches = match(Detections.from_rows(package), Detections.from_rows(reference), SAME_OBJECT)
    matched = {m.first: m for m in matches}
    pairs = []
    for i, row in enumerate(package):
        m = matched.get(i)
        score = None if m is None else reference[m.second]["score"]
        pairs.append(Pair(row["label"], score, row["score"], None if m is None else m.iou))
    missing = set(range(len(reference))) - {m.second for m in matches}
    pairs += [Pair(reference[j]["label"], reference[j]["score"], None) for j in sorted(missing)]
    return sorted(pairs, key=lambda pair: -max(pair.reference or 0, pair.package or 0))


def pair_classes(reference: Sequence[Row], package: Sequence[Row]) -> list[Pair]:
    """Each of the best classes of either model; the score of one that ranks it lower is None."""
    wanted = {row["label_id"]: row for row in reference}
    got = {row["label_id"]: row for row in package}
    return [
        Pair(
            (wanted.get(i) or got[i])["label"],
            wanted[i]["score"] if i in wanted else None,
            got[i]["score"] if i in got else None,
        )
        for i in {**wanted, **got}
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
    """The package's labels at the corners of their boxes, the best first, as far as each finds a
    place of its own; the table below tells them all."""
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


def embed(picture: Image.Image) -> str:
    """``picture`` as a data: URI."""
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=WEBP_QUALITY, method=6)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"
