"""A training run as one web page: what was trained, how good it is, and where it goes wrong."""

import base64
import io
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.evaluation import (
    MATCH_IOU,
    NOTHING,
    RECALLS,
    BoxRow,
    ClassificationEvaluation,
    ClassPrecision,
    Confusion,
    DetectionEvaluation,
    PhotoMatch,
    evaluate_classifications,
    evaluate_detections,
    match_photos,
)

PHOTO_SIDE, JPEG_QUALITY = 480, 80  # of the photos in the page
MISTAKES, MISSES, BEST = 9, 6, 3  # photos of each gallery
# More classes than this are told in tables alone: cells and panels would be too small to read.
MAX_DRAWN_CLASSES = 60
NEAR_IOU = 0.1  # a detection that overlaps its object by this, but not by MATCH_IOU, is misplaced
REMARKS_OF_A_KIND = 4  # below a photo; the rest is counted
BOXES_OF_A_ROLE = 6  # on a photo, of mistakes and of misses: crowds would hide what is behind them

Kind = Literal["wrong class", "false", "badly placed", "found twice", "missed"]
KINDS: tuple[Kind, ...] = ("wrong class", "false", "badly placed", "found twice", "missed")
Role = Literal["truth", "missed", "right", "wrong"]
ROLES: tuple[Role, ...] = ("truth", "missed", "right", "wrong")

Log = Sequence[Mapping[str, float | None]]
Table = Mapping[str, str]


@dataclass(frozen=True)
class DrawnBox:
    """A box on a photo: x, y, width, height in the pixels that `Example` tells the size of.

    role: "truth", or "missed" for an object that nothing found; "right" or "wrong" for a detection.
    """

    bbox: tuple[float, float, float, float]
    label: str
    role: Role


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
class TrainingReport:
    """All that `write_report` tells of a run.

    about: what was trained, on what and where, name → value, shown as it is: architecture, data,
    hardware, time, versions. recipe: the same of the recipe's settings.
    log: a row for each epoch. ``epoch`` is the axis; columns that end in "loss" are drawn, and so
    are those that begin with "ap", "ar", "top" or "accuracy", which are in 0..1. Values that are
    missing, None or NaN are left out, as in epochs without a measurement.
    """

    title: str
    about: Table
    recipe: Table
    log: Log
    evaluation: DetectionEvaluation | ClassificationEvaluation
    galleries: tuple[Gallery, ...]


def detection_report(
    annotations_coco: dict[str, Any],
    rows: list[BoxRow],
    photo_path: Callable[[int], Path],
    log: Log,
    about: Table,
    score_threshold: float = 0.3,
    *,
    recipe: Table | None = None,
    title: str = "Training report",
) -> TrainingReport:
    """The report of a detector from its ``rows`` on the photos of ``annotations_coco``.

    ``photo_path`` gives the file of a photo by its id; only those that are shown are opened.
    ``rows`` should reach down to scores near 0, as AP asks; what scores above ``score_threshold``
    is drawn and counted.
    """
    names = {category["id"]: category["name"] for category in annotations_coco["categories"]}
    matches = match_photos(annotations_coco, rows, score_threshold)
    photos = [
        _JudgedPhoto(image, matches[image["id"]], _remarks(matches[image["id"]], names))
        for image in annotations_coco["images"]
    ]
    evaluation = evaluate_detections(annotations_coco, rows, score_threshold)
    galleries = _detection_galleries(photos, names, photo_path)
    return TrainingReport(title, about, recipe or {}, log, evaluation, galleries)


def classification_report(
    names: Sequence[str],
    probabilities: NDArray[np.floating],
    labels: Sequence[int],
    photo_paths: Sequence[Path],
    log: Log,
    about: Table,
    *,
    recipe: Table | None = None,
    title: str = "Training report",
) -> TrainingReport:
    """The report of a classifier from its ``probabilities`` [photos, classes], in 0..1.

    ``labels`` are the true classes, as indices of ``names``.
    """
    evaluation = evaluate_classifications(probabilities, labels, names)
    galleries = _classification_galleries(names, probabilities, labels, photo_paths)
    return TrainingReport(title, about, recipe or {}, log, evaluation, galleries)


def write_report(path: Path, report: TrainingReport) -> None:
    """Write ``report`` as one HTML file that needs no other, photos included."""
    # Names of classes and files come from anywhere: everything is escaped.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=_figure, percent=_percent, embed=_embed, together=_together, chips=_chips
    )
    evaluation = report.evaluation
    html = environment.get_template("report.html").render(
        report=report,
        evaluation=evaluation,
        summary=_summary(evaluation),
        headline=_headline(evaluation),
        charts=_charts(report.log),
        panels=_panels(evaluation),
        class_rows=_class_rows(evaluation),
        heat_map=_heat_map(evaluation.confusion),
        mixed_up=_mixed_up(evaluation.confusion),
        roles=ROLES,
    )
    path.write_text(html, encoding="utf-8")


# ---------------------------------------------------------------------------- the photos to show


@dataclass(frozen=True)
class _JudgedPhoto:
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


def _remarks(match: PhotoMatch, names: Mapping[int, str]) -> tuple[Remark, ...]:
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


def _detection_galleries(
    photos: list[_JudgedPhoto], names: Mapping[int, str], photo_path: Callable[[int], Path]
) -> tuple[Gallery, ...]:
    mistaken = sorted((p for p in photos if p.worst_score), key=lambda p: -p.worst_score)
    mistaken = mistaken[:MISTAKES]
    shown = {photo.image["id"] for photo in mistaken}
    missed = [p for p in photos if p.largest_miss and p.image["id"] not in shown]
    missed = sorted(missed, key=lambda p: -p.largest_miss)[:MISSES]
    right = [p for p in photos if p.match.objects and not p.remarks]
    right = sorted(right, key=lambda p: p.merit, reverse=True)[:BEST]
    return _with_examples(
        Gallery(title, explanation, tuple(_example(p, names, photo_path) for p in chosen))
        for title, explanation, chosen in (
            (
                "Most confident mistakes",
                "The photos whose wrong detections score highest, and at most"
                f" {BOXES_OF_A_ROLE} of these in each.",
                mistaken,
            ),
            ("Overlooked", "The photos whose missed objects are largest.", missed),
            ("At its best", "Every object found, and nothing else.", right),
        )
    )


def _with_examples(galleries: Iterator[Gallery]) -> tuple[Gallery, ...]:
    return tuple(gallery for gallery in galleries if gallery.examples)


def _example(
    photo: _JudgedPhoto, names: Mapping[int, str], photo_path: Callable[[int], Path]
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


def _classification_galleries(
    names: Sequence[str],
    probabilities: NDArray[np.floating],
    labels: Sequence[int],
    photo_paths: Sequence[Path],
) -> tuple[Gallery, ...]:
    answers = probabilities.argmax(axis=1)
    order = np.argsort(-probabilities.max(axis=1), kind="stable").tolist()

    def example(i: int) -> Example:
        answer, truth = names[answers[i]], names[labels[i]]
        text = f"{answer} {probabilities[i, answers[i]]:.2f}"
        remark = Remark("wrong class", f"{text} for {truth}", float(probabilities[i].max()))
        wrong = answer != truth
        return Example(
            photo_paths[i],
            width=0,
            height=0,
            alt=f"Photo of {truth}" + (f", taken for {answer}" if wrong else ", recognised"),
            caption=photo_paths[i].name if wrong else f"{text} · {photo_paths[i].name}",
            remarks=(remark,) if wrong else (),
        )

    wrong = [i for i in order if answers[i] != labels[i]][:MISTAKES]
    right = [i for i in order if answers[i] == labels[i]][:BEST]
    return _with_examples(
        Gallery(title, explanation, tuple(example(i) for i in chosen))
        for title, explanation, chosen in (
            ("Most confident mistakes", "The wrong answers of the highest probability.", wrong),
            ("At its best", "The right answers of the highest probability.", right),
        )
    )


def _embed(example: Example) -> str | None:
    """The photo as a small JPEG in a data: URI; None if it cannot be read."""
    try:
        with Image.open(example.path) as file:
            file.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))  # decodes large JPEGs at a fraction
            upright = _upright(file, example)
            upright.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
            encoded = io.BytesIO()
            upright.convert("RGB").save(encoded, "JPEG", quality=JPEG_QUALITY)
    except OSError:  # a report with a gap is worth more than none, after hours of training
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _upright(image: Image.Image, example: Example) -> Image.Image:
    """``image`` turned as EXIF says, unless its boxes are those of the image as it is stored."""
    upright = ImageOps.exif_transpose(image)
    landscape = example.width > example.height
    stored_as_told = landscape == (image.width > image.height)
    if upright.size != image.size and example.width != example.height and stored_as_told:
        return image
    return upright


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


def _chips(example: Example) -> list[_Chip]:
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


def _together(remarks: Sequence[Remark]) -> dict[str, str]:
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


# ------------------------------------------------------------------------------- figures, tables


@dataclass(frozen=True)
class _Headline:
    name: str
    value: str
    meaning: str
    leading: bool = False


@dataclass(frozen=True)
class _ClassRow:
    """One class: of a detector its objects at the score threshold, of a classifier its photos.

    found: with the right class. mixed_up: with another. false: named so without being so.
    """

    name: str
    objects: int
    found: int
    mixed_up: int
    missed: int
    false: int
    ap: float | None = None
    ap50: float | None = None


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001


def _percent(part: float, whole: float = 1.0) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"  # noqa: RUF001


def _summary(evaluation: DetectionEvaluation | ClassificationEvaluation) -> str:
    counts = np.array(evaluation.confusion.counts)
    if isinstance(evaluation, ClassificationEvaluation):
        return (
            f"Measured on {evaluation.images:,} photos of {len(counts):,} classes:"
            f" {_percent(evaluation.top1)} get their class as the first answer,"
            f" {_percent(evaluation.top5)} among the first five."
        )
    right = int(np.trace(counts[:-1, :-1]))
    reported = int(counts[:, :-1].sum())
    return (
        f"Measured on {evaluation.images:,} photos with {evaluation.objects:,} objects of"
        f" {len(evaluation.classes):,} classes. With scores above {evaluation.score_threshold:g},"
        f" {_percent(right, int(counts[:-1].sum()))} of the objects are found and named,"
        f" and {_percent(right, reported)} of what is reported is right."
    )


def _headline(
    evaluation: DetectionEvaluation | ClassificationEvaluation,
) -> list[_Headline]:
    if isinstance(evaluation, ClassificationEvaluation):
        rows = [row for row in _class_rows(evaluation) if row.objects]
        balanced = sum(row.found / row.objects for row in rows) / len(rows)
        return [
            _Headline("Top-1", _figure(evaluation.top1), "the first answer is right", True),
            _Headline("Top-5", _figure(evaluation.top5), "one of the first five is"),
            _Headline("Top-1 by class", _figure(balanced), "mean over classes"),
        ]
    e = evaluation
    return [
        _Headline("AP", _figure(e.ap), "mean over IoU .50 to .95", True),
        _Headline("AP50", _figure(e.ap50), "at IoU .50"),
        _Headline("AP75", _figure(e.ap75), "at IoU .75"),
        _Headline("AP small", _figure(e.ap_small), "objects up to 32² pixels"),
        _Headline("AP medium", _figure(e.ap_medium), "up to 96² pixels"),
        _Headline("AP large", _figure(e.ap_large), "larger ones"),
        _Headline("AR100", _figure(e.ar100), "recall, 100 detections a photo"),
    ]


def _class_rows(evaluation: DetectionEvaluation | ClassificationEvaluation) -> list[_ClassRow]:
    """Rows of the table of classes, the best first, those without objects last."""
    counts = np.array(evaluation.confusion.counts)
    right, by_truth, by_answer = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    detection = isinstance(evaluation, DetectionEvaluation)
    rows = []
    for i in range(len(counts) - detection):
        missed = int(counts[i, -1]) if detection else 0
        precision = evaluation.classes[i] if detection else None
        rows.append(
            _ClassRow(
                evaluation.confusion.names[i],
                int(by_truth[i]),
                found=int(right[i]),
                mixed_up=int(by_truth[i] - right[i]) - missed,
                missed=missed,
                false=int(by_answer[i] - right[i]),
                ap=precision.ap if precision else None,
                ap50=precision.ap50 if precision else None,
            )
        )

    def goodness(row: _ClassRow) -> float:
        if not row.objects:
            return -1.0
        return row.found / row.objects if row.ap50 is None else row.ap50

    return sorted(rows, key=goodness, reverse=True)


@dataclass(frozen=True)
class _MixUp:
    truth: str
    answer: str
    count: int
    of: int


def _mixed_up(confusion: Confusion, most: int = 10) -> list[_MixUp]:
    """The pairs of classes that are most often mistaken for each other, misses aside."""
    names, totals = confusion.names, [sum(row) for row in confusion.counts]
    pairs = [
        _MixUp(names[t], names[p], count, totals[t])
        for t, row in enumerate(confusion.counts)
        for p, count in enumerate(row)
        if count and t != p and not (_is_nothing(confusion, t) or _is_nothing(confusion, p))
    ]
    return sorted(pairs, key=lambda pair: -pair.count)[:most]


def _is_nothing(confusion: Confusion, index: int) -> bool:
    return index == len(confusion.names) - 1 and confusion.names[index] == NOTHING


# --------------------------------------------------------------------------------------- drawings


@dataclass(frozen=True)
class _Tick:
    at: float
    label: str


@dataclass(frozen=True)
class _Line:
    """``points`` in the chart's coordinates; its label stands at their end, at ``label_y``."""

    label: str
    last: str
    points: tuple[tuple[float, float], ...]
    label_y: float

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class _Chart:
    title: str
    alt: str
    x_ticks: tuple[_Tick, ...]
    y_ticks: tuple[_Tick, ...]
    lines: tuple[_Line, ...]
    right: float = 0.0

    # With ``right``, the plane in which lines are drawn; what is beside it is room for labels.
    left, top, bottom = 44, 14, 236
    width, height = 480, 280


def _charts(log: Log) -> list[_Chart]:
    """Losses, and what was measured, over the epochs; nothing of what the log does not hold."""
    keys = list(dict.fromkeys(key for row in log for key in row))
    losses = [key for key in keys if key.endswith("loss")]
    measured = [key for key in keys if key.startswith(("ap", "ar", "top", "accuracy"))]
    charts = [
        _chart("Loss", log, losses),
        _chart("Measured on the validation photos", log, measured),
    ]
    return [chart for chart in charts if chart.lines]


def _chart(title: str, log: Log, keys: Sequence[str]) -> _Chart:
    series = {key: _series(log, key) for key in keys}
    series = {key: points for key, points in series.items() if points}
    if not series:
        return _Chart(title, "", (), (), ())
    epochs = [x for points in series.values() for x, _ in points]
    low, high = min(epochs), max(epochs)
    x_step = max(1.0, _step(high - low, 8))
    top = max(y for points in series.values() for _, y in points) or 1.0
    y_step = _step(top, 5)
    top = y_step * math.ceil(top / y_step - 1e-9)

    # The labels at the lines' ends are their name and a figure, in letters up to 8.8 wide.
    right = _Chart.width - max(
        80, min(220, 14 + 8.8 * max(len(_pretty(key)) + 6 for key in series))
    )

    def x_at(epoch: float) -> float:
        share = (epoch - low) / (high - low) if high > low else 0.5
        return _Chart.left + share * (right - _Chart.left)

    def y_at(value: float) -> float:
        return _Chart.bottom - value / top * (_Chart.bottom - _Chart.top)

    placed = {key: tuple((x_at(x), y_at(y)) for x, y in points) for key, points in series.items()}
    label_ys = _spread([points[-1][1] for points in placed.values()])
    lines = [
        _Line(_pretty(key), _figure(series[key][-1][1]), points, label_y)
        for (key, points), label_y in zip(placed.items(), label_ys, strict=True)
    ]
    ends = ", ".join(
        f"{_pretty(key)} from {_figure(points[0][1])} to {_figure(points[-1][1])}"
        for key, points in series.items()
    )
    first = x_step * math.ceil(low / x_step - 1e-9)
    x_ticks = np.arange(first, high + x_step / 1e3, x_step).tolist()
    y_ticks = np.arange(0, top + y_step / 1e3, y_step).tolist()
    return _Chart(
        title,
        f"{title}, epochs {low:g} to {high:g}: {ends}",
        tuple(_Tick(x_at(x), f"{x:g}") for x in x_ticks),
        tuple(_Tick(y_at(y), f"{y:.4g}") for y in y_ticks),
        tuple(lines),
        right,
    )


def _series(log: Log, key: str) -> list[tuple[float, float]]:
    """(epoch, value) of every row of the log that has both, and as numbers."""
    points = [(row.get("epoch", i), row.get(key)) for i, row in enumerate(log, start=1)]
    return [(float(x), float(y)) for x, y in points if _is_number(x) and _is_number(y)]


def _is_number(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _step(span: float, most: int) -> float:
    """The least of ... .1, .2, .5, 1, 2, 5 ... that divides ``span`` into ``most`` at most."""
    if span <= 0:
        return 1.0
    magnitude = 10 ** math.floor(math.log10(span / most))
    return next(n * magnitude for n in (1, 2, 5, 10) if span / (n * magnitude) <= most + 1e-9)


def _spread(wanted: Sequence[float], gap: float = 17) -> list[float]:
    """``wanted`` heights of labels, moved apart where they would cover each other."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    heights = list(wanted)
    for above, below in itertools.pairwise(order):
        heights[below] = max(heights[below], heights[above] + gap)
    floor = float(_Chart.bottom)
    for i in reversed(order):
        heights[i] = floor = min(heights[i], floor)
        floor -= gap
    return heights


def _pretty(key: str) -> str:
    """A column of the log as it is read: ap50 → AP50, class_loss → class loss."""
    words = key.replace("top", "top-").replace("--", "-").split("_")
    if words[0][:2] in ("ap", "ar"):
        words[0] = words[0].upper()
    return " ".join(words)


@dataclass(frozen=True)
class _Panel:
    """The precision-recall curve of one class in a square of 100, recall to the right.

    point: where it stands at the score threshold; None where nothing scores above it.
    """

    title: str
    ap50: float
    path: str
    area: str
    point: tuple[float, float] | None
    alt: str


def _panels(evaluation: DetectionEvaluation | ClassificationEvaluation) -> list[_Panel]:
    if isinstance(evaluation, ClassificationEvaluation):
        return []
    drawn = [row for row in evaluation.classes if row.ap50 is not None]
    if len(drawn) > MAX_DRAWN_CLASSES:
        return []
    ordered = sorted(drawn, key=lambda row: -row.ap50)
    return [_panel(row, evaluation.score_threshold) for row in ordered]


def _panel(row: ClassPrecision, score_threshold: float) -> _Panel:
    reached = [(100 * r, 100 - 100 * p) for r, p in zip(RECALLS, row.precision, strict=True) if p]
    # A step is where the curve falls; of a level stretch the two ends suffice.
    points = [
        point
        for i, point in enumerate(reached)
        if i in (0, len(reached) - 1) or not (reached[i - 1][1] == point[1] == reached[i + 1][1])
    ]
    line = "L".join(f"{x:.0f} {y:.1f}" for x, y in points)
    above = [i for i, score in enumerate(row.scores) if score > score_threshold]
    point = (100.0 * RECALLS[above[-1]], 100 - 100 * row.precision[above[-1]]) if above else None
    at = f", recall {point[0]:.0f} % with precision {100 - point[1]:.0f} %" if point else ""
    return _Panel(
        row.name,
        row.ap50 or 0.0,
        f"M{line}" if line else "",
        f"M0 100L{line}L{points[-1][0]:.0f} 100Z" if line else "",
        point,
        f"Precision over recall of {row.name}: AP50 {_figure(row.ap50)}"
        f"{at and f'; with scores above {score_threshold:g}{at}'}",
    )


@dataclass(frozen=True)
class _Cell:
    row: int
    column: int
    share: float
    text: str
    title: str

    @property
    def right(self) -> bool:
        return self.row == self.column


@dataclass(frozen=True)
class _HeatMap:
    """``cells`` that are not 0, in a grid of ``size``; labels are cut to fit."""

    labels: tuple[str, ...]
    cells: tuple[_Cell, ...]
    size: int
    margin: int
    cell: int = 28

    @property
    def side(self) -> int:
        return self.margin + self.size * self.cell + 4


def _heat_map(confusion: Confusion, longest: int = 18) -> _HeatMap | None:
    """The confusion matrix, each row in shares of its sum; None if it is too large to be read."""
    names = confusion.names
    if len(names) > MAX_DRAWN_CLASSES + 1:
        return None
    cells = []
    for t, row in enumerate(confusion.counts):
        for p, count in enumerate(row):
            if count:
                share = count / sum(row)
                text = f"{100 * share:.0f}" if share >= 0.01 else ""
                title = f"{names[t]} → {names[p]}: {count:,} of {sum(row):,}, {_percent(share)}"
                cells.append(_Cell(t, p, share, text, title))
    labels = tuple(n if len(n) <= longest else f"{n[: longest - 1]}…" for n in names)
    margin = 14 + round(7.2 * max(map(len, labels), default=0))
    return _HeatMap(labels, tuple(cells), len(names), margin)
