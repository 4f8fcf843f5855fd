"""Average precision of a package, measured through the code that serves it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.photos import read_photo
from models.evaluation import BoxRow, average_precision
from service.detector import DetectionQuery, Detector
from service.manifest import Accuracy
from service.package import ModelPackage
from service.runner import Job

BATCH_SIZE = 8
# What COCO's protocol sees: nearly everything, and of it the best hundred of each photo.
QUERY = DetectionQuery(
    score_threshold=np.float32(0.001),
    iou_threshold=np.float32(0.5),
    max_detections=100,
    kept=None,
)


def detector_accuracy(
    package: ModelPackage,
    annotations: Path,
    images: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Accuracy:
    """COCO AP on the photos of an instances file, whose names lie in the folder ``images``.

    ``on_progress`` is told how many photos of how many are done.
    """
    detector = Detector(package)
    photos = json.loads(annotations.read_text())["images"]
    rows: list[BoxRow] = []
    for start in range(0, len(photos), BATCH_SIZE):
        batch = photos[start : start + BATCH_SIZE]
        jobs = [
            Job(read_photo(images / photo["file_name"], package.manifest.input), QUERY)
            for photo in batch
        ]
        for photo, detections in zip(batch, detector.run(jobs), strict=True):
            rows += [_to_coco(photo["id"], **detection) for detection in detections]
        on_progress(start + len(batch), len(photos))
    measured = asdict(average_precision(annotations, rows))
    digest = hashlib.sha256(annotations.read_bytes()).hexdigest()
    return Accuracy(
        data=f"{annotations.name}, sha256 {digest[:12]}",
        images=measured.pop("images"),
        metrics={name: round(value, 4) for name, value in measured.items()},
    )


def _to_coco(image_id: int, box: list[float], score: float, label: str, label_id: int) -> BoxRow:
    left, top, right, bottom = box
    return BoxRow(image_id, label_id, (left, top, right - left, bottom - top), score)
