"""How good detections and classifications are; COCO's average precision is pycocotools'."""

import contextlib
import io
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models.calibration import ALL_AREAS, AT_50, Judged, judge

# What AP is measured on: nearly every detection, of each photo the best hundred, as COCO's protocol
# has it.
SCORE_FLOOR, IOU_THRESHOLD, MAX_DETECTIONS = 0.001, 0.5, 100

NOTHING = "nothing"
MATCH_IOU = 0.5
RECALLS = tuple(i / 100 for i in range(101))
BEST_100 = 2  # where pycocotools' arrays [IoU, recall, class, area, detections a photo] have it

Annotations = dict[str, Any]  # the content of a COCO instances file
IouType = Literal["bbox", "segm"]


@dataclass(frozen=True)
class BoxRow:
    """One detection in COCO's terms: ``bbox`` is x, y, width, height in the photo's pixels, and
    ``outline`` has polygons [P, 2] in these where outlines are found."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float
    outline: tuple[NDArray[np.float32], ...] | None = field(default=None, compare=False)

    @property
    def polygons(self) -> list[list[float]]:
        """The outline as COCO's ``segmentation`` has it."""
        return [polygon.ravel().tolist() for polygon in self.outline or ()]


@dataclass(frozen=True)
class Confusion:
    """``counts[t][p]``: how often the class ``names[t]`` was taken for the class ``names[p]``.

    A detector's has `NOTHING` as its last name: that row counts detections where no object is,
    that column objects that were missed.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassPrecision:
    """How well one class is detected.

    ap, ap50: as in `DetectionEvaluation`; None if there is no object to be found.
    precision: at IoU .5, the best at each of `RECALLS` or more; empty without objects.
    scores: the score at which that recall is reached; 0 where it never is.
    """

    category_id: int
    name: str
    objects: int
    ap: float | None
    ap50: float | None
    precision: tuple[float, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's figures, in 0..1, each None where there is no object to measure it on.

    ap: area under the precision-recall curve, of which the hundred best detections of each photo
        and class count; mean over classes and over the IoU thresholds .50, .55 ... .95.
    ap50, ap75: at that IoU threshold alone.
    ap_small, ap_medium, ap_large: of objects up to 32², up to 96², and of more square pixels.
    ar100: recall with the hundred best detections of a photo, mean over IoU thresholds.
    judged: every detection, right if it finds an object of its class by an IoU of .5.
    confusion: of detections that score above ``score_threshold``, see `match_photo`.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar100: float | None
    images: int
    objects: int
    classes: tuple[ClassPrecision, ...]
    judged: Judged
    score_threshold: float
    confusion: Confusion


@dataclass(frozen=True)
class PhotoMatch:
    """Which detection of a photo found which object.

    objects: COCO annotations, without crowds. detections: the best first.
    found: for each detection the index of its object, or None.
    overlaps: IoU [detections, objects].
    """

    objects: tuple[dict[str, Any], ...]
    detections: tuple[BoxRow, ...]
    found: tuple[int | None, ...]
    overlaps: NDArray[np.float64]


@dataclass(frozen=True)
class ClassificationEvaluation:
    """Shares in 0..1 of photos whose class is the first, or among the first five, of the answer."""

    top1: float
    top5: float
    images: int
    confusion: Confusion


def evaluate_detections(
    annotations: Annotations, rows: list[BoxRow], score_threshold: float = 0.3
) -> DetectionEvaluation:
    """All of COCO's figures, and the confusion of what scores above ``score_threshold``."""
    content = read_annotations(annotations)
    evaluation = _run_pycocotools(content, rows, "bbox")
    ap, ap50, ap75, small, medium, large, *recalls = map(_defined, evaluation.stats)
    return DetectionEvaluation(
        ap=ap,
        ap50=ap50,
        ap75=ap75,
        ap_small=small,
        ap_medium=medium,
        ap_large=large,
        ar100=recalls[2],  # after those with one detection and with ten
        images=len(content["images"]),
        objects=sum(not row["iscrowd"] for row in content["annotations"]),
        classes=_class_precisions(content, evaluation),
        judged=judge(evaluation),
        score_threshold=score_threshold,
        confusion=_confusion(content, match_photos(content, rows, score_threshold)),
    )


def match_photos(
    annotations: Annotations, rows: list[BoxRow], score_threshold: float
) -> dict[int, PhotoMatch]:
    """`match_photo` for every photo, by its id, with what scores above ``score_threshold``.

    Detections of classes that the annotations do not know are left out, as pycocotools does.
    """
    content = read_annotations(annotations)
    known = {category["id"] for category in content["categories"]}
    objects, detections = defaultdict(list), defaultdict(list)
    for annotation in content["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    for row in rows:
        if row.score > score_threshold and row.category_id in known:
            detections[row.image_id].append(row)
    ids = [image["id"] for image in content["images"]]
    return {i: match_photo(objects[i], detections[i]) for i in ids}


def match_photo(annotations: list[dict[str, Any]], rows: list[BoxRow]) -> PhotoMatch:
    """Give each detection, the best first, the free object that it overlaps most, by .5 at least.

    The class does not matter, so that a cat taken for a dog counts as one confusion, not as a
    missed cat and a false dog; of equal overlaps the right class wins. Detections that lie in a
    crowd of their class are neither right nor wrong: they are left out.
    """
    objects = [row for row in annotations if not is_crowd(row)]
    crowds = [row for row in annotations if is_crowd(row)]
    ordered = sorted(rows, key=lambda row: -row.score)
    overlaps, in_crowd = _overlaps(ordered, objects), _overlaps(ordered, crowds)
    found: list[int | None] = []
    kept: list[int] = []
    for i, row in enumerate(ordered):
        candidates = [
            (overlaps[i, j], other["category_id"] == row.category_id, -j)
            for j, other in enumerate(objects)
            if overlaps[i, j] >= MATCH_IOU and j not in found
        ]
        same = [crowd["category_id"] == row.category_id for crowd in crowds]
        if not candidates and (in_crowd[i, same] >= MATCH_IOU).any():
            continue
        found.append(-max(candidates)[2] if candidates else None)
        kept.append(i)
    return PhotoMatch(tuple(objects), tuple(ordered[i] for i in kept), tuple(found), overlaps[kept])


def is_crowd(row: dict[str, Any]) -> bool:
    """Whether a COCO annotation is of a crowd, which some tools write as "0" or "1". Only crowds
    are neither to be found nor wrong to find: ``ignore``, which pycocotools overwrites, is not
    read."""
    return row.get("iscrowd") not in (None, 0, False, "0", "")


def evaluate_classifications(
    probabilities: NDArray[np.floating], labels: Sequence[int], names: Sequence[str]
) -> ClassificationEvaluation:
    """``probabilities`` [photos, classes] against the true class of each photo, an index."""
    truth = np.asarray(labels, dtype=np.int64)
    if probabilities.shape != (len(truth), len(names)) or not len(truth):
        raise ValueError(
            f"{probabilities.shape} probabilities for {len(truth)} labels of {len(names)} classes"
        )
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = best == truth[:, None]
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (truth, best[:, 0]), 1)
    return ClassificationEvaluation(
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        images=len(truth),
        confusion=Confusion(tuple(names), _as_tuples(counts)),
    )


def read_annotations(annotations: Annotations) -> dict[str, Any]:
    """The content of ``annotations``, with all that pycocotools asks of a row.

    Rows are renumbered from 1, because pycocotools takes a match with row 0 for none.
    """
    rows = [
        {**row, "id": i, "iscrowd": int(is_crowd(row)), "area": _area_of(row)}
        for i, row in enumerate(annotations["annotations"], start=1)
    ]
    categories = sorted(annotations["categories"], key=lambda category: category["id"])
    return {"images": annotations["images"], "annotations": rows, "categories": categories}


def _area_of(row: dict[str, Any]) -> float:
    """Of the object's outline, as COCO has it; of its box where a tool has written no number."""
    try:
        area = float(row["area"])
    except (KeyError, TypeError, ValueError):
        area = math.nan
    return area if 0 <= area < math.inf else row["bbox"][2] * row["bbox"][3]


def average_precisions(
    content: Annotations, rows: list[BoxRow], iou_type: IouType
) -> tuple[float | None, ...]:
    """AP, AP50, AP75, … of what `read_annotations` gave, by the overlap of boxes or of masks."""
    return tuple(map(_defined, _run_pycocotools(content, rows, iou_type).stats))


def _run_pycocotools(content: dict[str, Any], rows: list[BoxRow], iou_type: IouType) -> COCOeval:
    unknown = {row.image_id for row in rows} - {image["id"] for image in content["images"]}
    if unknown:
        raise ValueError(f"the annotations have no photo {min(unknown)}")
    detections = [
        {
            "id": i,
            "image_id": row.image_id,
            "category_id": row.category_id,
            "bbox": list(row.bbox),
            "area": row.bbox[2] * row.bbox[3],
            "score": row.score,
            "iscrowd": 0,
            **({} if iou_type == "bbox" else {"segmentation": row.polygons}),
        }
        for i, row in enumerate(rows, start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        found = _index({**content, "annotations": detections})
        evaluation = COCOeval(_index(content), found, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _index(content: dict[str, Any]) -> COCO:
    """As COCO's own reader does it, which takes a file, and no empty list of detections."""
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _class_precisions(content: dict[str, Any], evaluation: COCOeval) -> tuple[ClassPrecision, ...]:
    objects: dict[int, int] = defaultdict(int)
    for row in content["annotations"]:
        objects[row["category_id"]] += not row["iscrowd"]
    results = []
    for k, category in enumerate(content["categories"]):
        precision = evaluation.eval["precision"][:, :, k, ALL_AREAS, BEST_100]
        scores = evaluation.eval["scores"][AT_50, :, k, ALL_AREAS, BEST_100]
        present = objects[category["id"]] > 0
        results.append(
            ClassPrecision(
                category["id"],
                category["name"],
                objects[category["id"]],
                ap=_defined(precision.mean()),
                ap50=_defined(precision[AT_50].mean()),
                precision=tuple(precision[AT_50].tolist()) if present else (),
                scores=tuple(scores.tolist()) if present else (),
            )
        )
    return tuple(results)


def _confusion(content: dict[str, Any], matches: dict[int, PhotoMatch]) -> Confusion:
    names = (*(category["name"] for category in content["categories"]), NOTHING)
    index = {category["id"]: i for i, category in enumerate(content["categories"])}
    nothing = len(index)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for match in matches.values():
        classes = [index[row["category_id"]] for row in match.objects]
        for row, j in zip(match.detections, match.found, strict=True):
            counts[nothing if j is None else classes[j], index[row.category_id]] += 1
        for j in set(range(len(classes))).difference(match.found):
            counts[classes[j], nothing] += 1
    return Confusion(names, _as_tuples(counts))


def _overlaps(rows: list[BoxRow], others: list[dict[str, Any]]) -> NDArray[np.float64]:
    """IoU [rows, others]; with a crowd, the share of the row that lies in it."""
    boxes = np.array([row.bbox for row in rows], dtype=np.float64).reshape(-1, 4)
    truth = np.array([other["bbox"] for other in others], dtype=np.float64).reshape(-1, 4)
    crowds = [int(is_crowd(other)) for other in others]
    return np.asarray(mask.iou(boxes, truth, crowds)).reshape(len(rows), len(others))


def _defined(value: float) -> float | None:
    """A figure of pycocotools, which says -1 where there is nothing to measure."""
    return float(value) if value >= 0 else None


def _as_tuples(counts: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in counts.tolist())
