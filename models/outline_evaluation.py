"""How good outlines are: COCO's average precision of masks, by pycocotools, and their overlap with
the truth."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from models.evaluation import (
    MATCH_IOU,
    Annotations,
    BoxRow,
    average_precisions,
    is_crowd,
    read_annotations,
)

ELLIPSE_VERTICES = 64
Outline = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class OutlineEvaluation:
    """Figures in 0..1, each None where there is nothing to measure it on.

    mask_ap, mask_ap50, mask_ap75: as those of boxes, by the overlap of masks.
    outline_iou: mean IoU of outline and truth, of objects whose box is found by an IoU of .5.
    ellipse_iou: the same of the ellipse inscribed in the found box, which takes no outline.
    outlines: how many objects these two are of.
    """

    mask_ap: float | None
    mask_ap50: float | None
    mask_ap75: float | None
    outline_iou: float | None
    ellipse_iou: float | None
    outlines: int

    def metrics(self) -> dict[str, float]:
        """Those that were measured, by name."""
        figures = {name: value for name, value in vars(self).items() if name != "outlines"}
        return {name: value for name, value in figures.items() if value is not None}


def evaluate_outlines(annotations: Annotations, rows: list[BoxRow]) -> OutlineEvaluation:
    """Compare those of ``rows`` that have an outline with the objects that have a
    ``segmentation``; other objects are neither to be found nor wrong to find.

    Raises ValueError if there is no such object.
    """
    content, rows = read_annotations(annotations), [row for row in rows if row.outline]
    outlined = [
        row if row.get("segmentation") else {**row, "segmentation": _box_polygon(row), "iscrowd": 1}
        for row in content["annotations"]
    ]
    if not any(row.get("segmentation") for row in content["annotations"]):
        raise ValueError("no object of the annotations has a segmentation")
    content = {**content, "annotations": outlined}
    ap, ap50, ap75, *_ = average_precisions(content, rows, "segm")
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    overlaps = []
    for row, found in found_objects(content, rows):
        height, width = sizes[row.image_id]
        truth = _to_mask(found["segmentation"], height, width)
        plain = replace(row, outline=ellipse(row.bbox))
        guesses = [_to_mask(guess.polygons, height, width) for guess in (row, plain)]
        overlaps.append(np.asarray(mask.iou(guesses, [truth], [0]))[:, 0])
    own, inscribed = np.mean(overlaps, axis=0).tolist() if overlaps else (None, None)
    return OutlineEvaluation(ap, ap50, ap75, own, inscribed, len(overlaps))


def found_objects(
    content: dict[str, Any], rows: list[BoxRow]
) -> list[tuple[BoxRow, dict[str, Any]]]:
    """The objects, without crowds, whose box is found, each with what finds it: the best first
    takes the free object of its class that it overlaps most, by .5 at least."""
    objects = defaultdict(list)
    for row in content["annotations"]:
        if not is_crowd(row):
            objects[row["image_id"], row["category_id"]].append(row)
    pairs = []
    for row in sorted(rows, key=lambda row: -row.score):
        free = objects[row.image_id, row.category_id]
        overlaps = mask.iou([list(row.bbox)], [o["bbox"] for o in free], [0] * len(free))
        if len(free) and overlaps.max() >= MATCH_IOU:
            pairs.append((row, free.pop(int(overlaps.argmax()))))
    return pairs


def ellipse(bbox: tuple[float, float, float, float]) -> Outline:
    """The polygon of the ellipse inscribed in a box of x, y, width, height."""
    x, y, width, height = bbox
    turns = np.arange(ELLIPSE_VERTICES) * (2 * math.pi / ELLIPSE_VERTICES)
    across, down = (1 + np.cos(turns)) / 2, (1 + np.sin(turns)) / 2
    return (np.stack((x + width * across, y + height * down), axis=1).astype(np.float32),)


def _box_polygon(row: dict[str, Any]) -> list[list[float]]:
    x, y, w, h = row["bbox"]
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def _to_mask(segmentation: Any, height: int, width: int) -> Any:
    """A segmentation, polygons or run lengths, as pycocotools computes with it."""
    if isinstance(segmentation, list):
        return mask.merge(mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return mask.frPyObjects(segmentation, height, width)
    return segmentation
