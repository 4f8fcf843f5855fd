"""What trained detectors find in photos, kept as labels that another detector learns from.

photo ─┬──────────── each detector ────────────────┬─ fused, class by class ─► COCO file
       └─ mirrored ─ each detector ─ mirrored back ┘                           with scores
"""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageOps

from export.errors import ExportError
from export.fusion import fuse
from export.progress import SILENT, ProgressReporter
from models.datasets.files import photos_below
from models.training.pseudo_labels import UNSURE, class_key
from service.cpus import available_cpus
from service.imaging.files import PhotoError, read_image
from service.imaging.resize import to_input
from service.inference.detector import DetectionQuery
from service.inference.model import open_predictor
from service.inference.task import Predictor
from service.package import open_package

SAME_OBJECT = 0.6  # IoU above which detections are fused
SAVE_SECONDS = 60.0
# Below `UNSURE`, because several weak detections may add up to one that is kept.
QUERY = DetectionQuery(
    score_threshold=np.float32(0.05),
    iou_threshold=np.float32(0.6),
    max_detections=100,
    kept=None,
)

Labels = dict[str, Any]  # the content of the file


class LabellingError(ExportError):
    """Photos that cannot be labelled so; the message says why, and what to do."""


class Teacher:
    """Detectors whose answers on a photo and on its mirror image are fused."""

    def __init__(self, packages: Sequence[Path]) -> None:
        """Raises PackageError, or LabellingError for one that is no detector."""
        self._detectors: list[Predictor[DetectionQuery]] = []
        for folder in packages:
            package = open_package(folder)
            if package.manifest.task != "detection":
                raise LabellingError(f"{folder}: is a classifier; a teacher has to find boxes")
            self._detectors.append(open_predictor(package))
        manifests = [detector.manifest for detector in self._detectors]
        self.identity = [f"{m.name}/{m.version} {m.sha256}" for m in manifests]
        names = {class_key(x.name): x.name for m in reversed(manifests) for x in m.labels}
        self.categories = [{"id": i, "name": name} for i, name in enumerate(names.values(), 1)]
        self._ids = {key: i for i, key in enumerate(names, 1)}

    def label(self, photo: Path) -> tuple[tuple[int, int], list[dict[str, Any]]]:
        """A photo's width and height, and its boxes as rows of a COCO file that lack their ids.

        Raises PhotoError.
        """
        image = read_image(photo)
        width = image.width
        found: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        for mirrored, view in enumerate((image, ImageOps.mirror(image))):
            for detector in self._detectors:
                (rows,) = detector.run([to_input(view, detector.manifest.input)], [QUERY])
                for row in rows:
                    left, top, right, bottom = row["box"]
                    if mirrored:
                        left, right = width - right, width - left
                    category = self._ids[class_key(row["label"])]
                    found[category].append((left, top, right, bottom, row["score"]))
        return image.size, [row for key in sorted(found) for row in self._fuse(key, found[key])]

    def _fuse(self, category: int, found: list[tuple[float, ...]]) -> list[dict[str, Any]]:
        values = np.array(found, dtype=np.float64)
        boxes, scores = fuse(values[:, :4], values[:, 4], 2 * len(self._detectors), SAME_OBJECT)
        return [
            {
                "category_id": category,
                "bbox": [round(x, 2) for x in (left, top, right - left, bottom - top)],
                "area": round((right - left) * (bottom - top), 2),
                "iscrowd": 0,
                "score": round(score, 4),
            }
            for (left, top, right, bottom), score in zip(
                boxes.tolist(), scores.tolist(), strict=True
            )
            if score >= UNSURE
        ]


def label_photos(
    packages: Sequence[Path],
    photos: Sequence[Path],
    file: Path,
    progress: ProgressReporter = SILENT,
) -> int:
    """Write what the ``packages`` find in ``photos`` to ``file``; returns how many boxes it has.

    Photos that are in it already are left as they are, so that an interrupted labelling goes on,
    and more photos can be added. Raises LabellingError, PackageError and PhotoError.
    """
    progress.step("opening the teachers")
    teacher = Teacher(packages)
    labels = _begun(file, teacher)
    done = {image["file_name"] for image in labels["images"]}
    left = [photo for photo in dict.fromkeys(photos) if str(photo) not in done]
    progress.step(f"labelling {len(left)} photos, {len(done)} are done")
    saved, cores = time.monotonic(), available_cpus()
    try:
        with ThreadPoolExecutor(cores) as pool:
            for start in range(0, len(left), cores):
                some = left[start : start + cores]
                for photo, (size, rows) in zip(some, pool.map(teacher.label, some), strict=True):
                    _add(labels, photo, size, rows)
                progress.update(start + len(some), len(left))
                if time.monotonic() - saved > SAVE_SECONDS:
                    _save(labels, file)
                    saved = time.monotonic()
    finally:
        _save(labels, file)
    return len(labels["annotations"])


def find_photos_to_label(path: Path) -> list[Path]:
    """The photos below a folder, or those that a text file names, one in each line. Raises
    PhotoError."""
    if path.is_dir():
        photos = list(photos_below(path))
    else:
        try:
            photos = [Path(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        except (OSError, UnicodeDecodeError) as error:
            raise PhotoError(f"{path}: is neither a folder nor a list of photos") from error
    if not photos:
        raise PhotoError(f"{path}: names no photo")
    return photos


def _begun(file: Path, teacher: Teacher) -> Labels:
    """What ``file`` holds already."""
    if not file.exists():
        info = {"teacher": teacher.identity}
        return {"info": info, "images": [], "annotations": [], "categories": teacher.categories}
    try:
        labels: Labels = json.loads(file.read_text(encoding="utf-8"))
        same = labels["info"]["teacher"] == teacher.identity
    except (KeyError, TypeError, ValueError) as error:
        raise LabellingError(f"{file}: exists, and is not of this command; delete it") from error
    if not same:
        raise LabellingError(f"{file}: holds what other packages found; delete it, or name another")
    return labels


def _add(
    labels: Labels, photo: Path, size: tuple[int, int], rows: Sequence[dict[str, Any]]
) -> None:
    number, first = len(labels["images"]) + 1, len(labels["annotations"]) + 1
    width, height = size
    labels["images"].append(
        {"id": number, "file_name": str(photo), "width": width, "height": height}
    )
    labels["annotations"] += [
        {"id": i, "image_id": number, **row} for i, row in enumerate(rows, first)
    ]


def _save(labels: Labels, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.partial")
    aside.write_text(json.dumps(labels), encoding="utf-8")
    aside.replace(file)
