"""How close another precision's answers are to a float32 model's: one number, 0 to 1."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from export.errors import ExportError
from export.evaluation.figures import to_coco
from export.parity.model import open_quietly
from models.evaluation import BoxRow, evaluate_detections
from service.imaging.resize import ModelInput
from service.inference.detector import DetectionQuery, Detector
from service.manifest import DetectionManifest
from service.package import ModelPackage

Fidelity = Callable[[onnx.ModelProto], float]


class FidelityError(ExportError):
    """Photos on which nothing can be measured; the message says why."""


SCORE_THRESHOLD = 0.3  # above which the float model's detections are the truth
LOW_THRESHOLD = 0.01  # above which detections are compared with it


def detector_fidelity(
    manifest: DetectionManifest, reference: onnx.ModelProto, photos: Sequence[ModelInput]
) -> Fidelity:
    """COCO's AP on ``photos``, with what ``reference`` finds there as the truth. Raises
    FidelityError if that is nothing."""
    found = _detect(manifest, reference, photos, SCORE_THRESHOLD)
    if not found:
        raise FidelityError(
            f"the float model finds nothing above {SCORE_THRESHOLD} in any of {len(photos)} photos:"
            " give photos of what it was trained to find"
        )
    truth = _as_truth(manifest, found, len(photos))

    def fidelity(model: onnx.ModelProto) -> float:
        rows = _detect(manifest, model, photos, LOW_THRESHOLD)
        return evaluate_detections(truth, rows).ap or 0.0

    return fidelity


def classifier_fidelity(reference: onnx.ModelProto, photos: Sequence[ModelInput]) -> Fidelity:
    """The share of the probabilities that both give to the same classes, mean over ``photos``: of
    those that add up to 1 the sum of the smaller ones; of independent ones twice that, of what both
    give in all (Dice's coefficient)."""
    expected = _classify(reference, photos)

    def fidelity(model: onnx.ModelProto) -> float:
        actual = _classify(model, photos)
        common = 2 * np.minimum(expected, actual).sum(axis=1)
        both = (expected + actual).sum(axis=1)
        return float(np.divide(common, both, out=np.ones_like(both), where=both > 0).mean())

    return fidelity


def _classify(model: onnx.ModelProto, photos: Sequence[ModelInput]) -> np.ndarray[Any, Any]:
    session = open_quietly(model)
    return np.concatenate([session.run(None, {"images": p.pixels[None]})[0] for p in photos])


def _detect(
    manifest: DetectionManifest,
    model: onnx.ModelProto,
    photos: Sequence[ModelInput],
    score_threshold: float,
) -> list[BoxRow]:
    detector = Detector(ModelPackage(manifest, open_quietly(model)))
    query = DetectionQuery(np.float32(score_threshold), np.float32(0.5), 100, None)
    rows: list[BoxRow] = []
    for image_id, photo in enumerate(photos):
        rows += [to_coco(image_id, row) for row in detector.run([photo], [query])[0]]
    return rows


def _as_truth(manifest: DetectionManifest, rows: Sequence[BoxRow], images: int) -> dict[str, Any]:
    """Detections as a COCO instances file would state them."""
    return {
        "images": [{"id": image_id} for image_id in range(images)],
        "categories": [{"id": label.id, "name": label.name} for label in manifest.labels],
        "annotations": [{**vars(row), "bbox": list(row.bbox)} for row in rows],
    }
