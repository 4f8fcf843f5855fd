"""One way to answer photos, as a column of the comparison."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from export.progress import OnProgress
from models.evaluation import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_FLOOR
from service.imaging.files import read_photo
from service.imaging.input_spec import InputSpec
from service.imaging.resize import ModelInput
from service.inference.classifier import ClassificationQuery
from service.inference.detector import DetectionQuery
from service.inference.model import open_predictor
from service.inference.task import Row
from service.manifest import ModelManifest
from service.package import ModelPackage

ReadPhoto = Callable[[Path, InputSpec], ModelInput]
BATCH_SIZE = 8
TOP_K = 5
QUERY = DetectionQuery(
    score_threshold=np.float32(SCORE_FLOOR),
    iou_threshold=np.float32(IOU_THRESHOLD),
    max_detections=MAX_DETECTIONS,
    kept=None,
)


class Column(Protocol):
    """Answers photos: `PackageColumn`, or `export.evaluation.server.ServerColumn`.

    title: what answers, such as "ONNX int8". source: which one, such as "pets/1".
    sha256: of the file that the weights are in.
    """

    title: str
    source: str
    sha256: str
    manifest: ModelManifest

    def answer(self, photos: Sequence[Path], on_progress: OnProgress) -> list[list[Row]]:
        """Each photo's rows, the best first, as the HTTP API gives them (docs/api.md): detections
        above .001, at most a hundred, or the five best classes."""


class PackageColumn:
    """A package in this process, through the code that serves it."""

    def __init__(
        self,
        package: ModelPackage,
        query: DetectionQuery | ClassificationQuery | None = None,
        read: ReadPhoto = read_photo,
        title: str | None = None,
        *,
        outlines: bool = False,
    ) -> None:
        """query: what each photo is asked for, by default what `Column.answer` says. read: makes
        it an input. outlines: whether detections have these."""
        self.manifest = package.manifest
        self.title = title or f"ONNX {self.manifest.precision}"
        self.source = f"{self.manifest.name}/{self.manifest.version}"
        self.sha256 = self.manifest.sha256
        self._predictor, self._read = open_predictor(package), read
        detects = self.manifest.task == "detection"
        usual = replace(QUERY, contours=outlines) if detects else None
        self._query = query or usual or ClassificationQuery(top_k(self.manifest))

    def answer(self, photos: Sequence[Path], on_progress: OnProgress) -> list[list[Row]]:
        """See `Column`; raises PhotoError naming a photo that cannot be read."""
        answers: list[list[Row]] = []
        for start in range(0, len(photos), BATCH_SIZE):
            batch = photos[start : start + BATCH_SIZE]
            spec = self.manifest.input
            answers += self._run([self._read(photo, spec) for photo in batch])
            on_progress(len(answers), len(photos))
        return answers

    def _run(self, images: Sequence[ModelInput]) -> list[list[Row]]:
        """Rows of each image; only images of one size run in one batch."""
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            groups[self._predictor.group(image, self._query)].append(i)
        rows: dict[int, list[Row]] = {}
        for group in groups.values():
            found = self._predictor.run([images[i] for i in group], [self._query] * len(group))
            rows.update(zip(group, found, strict=True))
        return [rows[i] for i in range(len(images))]


def has_contours(manifest: ModelManifest) -> bool:
    return manifest.task == "detection" and manifest.has_contours


def top_k(manifest: ModelManifest) -> int:
    """How many classes of a photo are compared."""
    return min(TOP_K, len(manifest.labels))
