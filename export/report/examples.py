"""Photos with what both models find in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from models.training.report.galleries import DrawnBox, Role
from models.training.report.page import data_uri
from service.imaging.files import read_image
from service.imaging.resize import to_input
from service.inference.model import PARAMETERS, open_predictor
from service.inference.task import Row
from service.matching import SAME_OBJECT, Detections, match
from service.package import ModelPackage

EXAMPLES = 6
CANDIDATES = 24  # photos that these are chosen from
PHOTO_SIDE, WEBP_QUALITY = 560, 65
MOST_PAIRS = 8  # shown of a photo


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
    """A photo of the page, of ``width`` x ``height`` pixels, its boxes and the pairs shown with it;
    ``more`` pairs are not shown."""

    name: str
    picture: str
    alt: str
    width: int
    height: int
    boxes: tuple[DrawnBox, ...]
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
        boxes = (*drawn(expected, "truth"), *drawn(actual, "right")) if detects else ()
        size = photo.size
        photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
        found = ", ".join(f"{row['label']} {row['score']:.2f}" for row in actual[:MOST_PAIRS])
        examples.append(
            Example(
                path.name,
                data_uri(photo, "WEBP", quality=WEBP_QUALITY, method=6),
                f"Photo {path.name}; the package finds {found or 'nothing'}",
                *size,
                boxes,
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


def drawn(rows: Sequence[Row], role: Role) -> tuple[DrawnBox, ...]:
    """The boxes of ``rows`` on their photo; the package's, which are "right", with their labels,
    and those of the reference, the "truth", without."""
    boxes = []
    for row in rows:
        left, top, right, bottom = row["box"]
        label = f"{row['label']} {row['score']:.2f}" if role == "right" else ""
        boxes.append(DrawnBox((left, top, right - left, bottom - top), label, role))
    return tuple(boxes)
