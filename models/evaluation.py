"""COCO's average precision, by pycocotools."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@dataclass(frozen=True)
class BoxRow:
    """One detection in COCO's terms: ``bbox`` is x, y, width, height in the photo's pixels."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class AveragePrecision:
    """Area under the precision-recall curve, mean over classes; in 0..1.

    ap: mean over IoU thresholds .50, .55 ... .95. ap50, ap75: at that threshold alone.
    images: how many photos it was measured on.
    """

    ap: float
    ap50: float
    ap75: float
    images: int


def average_precision(annotations: Path, rows: list[BoxRow]) -> AveragePrecision:
    """AP of ``rows`` against the COCO instances file ``annotations``, 100 detections a photo."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        truth = COCO(str(annotations))
        images = len(truth.getImgIds())
        if not rows:  # which pycocotools cannot load
            return AveragePrecision(0.0, 0.0, 0.0, images)
        evaluation = COCOeval(truth, truth.loadRes([_to_coco(row) for row in rows]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50, ap75 = (float(value) for value in evaluation.stats[:3])
    return AveragePrecision(ap, ap50, ap75, images)


def _to_coco(row: BoxRow) -> dict[str, Any]:
    """``row`` as pycocotools takes it: a box must be a list."""
    return {**vars(row), "bbox": list(row.bbox)}
