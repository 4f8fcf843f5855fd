"""Checks of a graph's answers against docs/graph.md, whatever computed them."""

import numpy as np

from export.errors import ExportError
from export.matching import Detections, box_iou
from export.parity.cases import Case
from export.parity.comparison import TOLERANCES, Tally, compare_detections
from export.parity.model import Array, Image, Outputs, to_feeds
from service.manifest import ClassificationManifest, ModelManifest
from service.package import ModelPackage

LOW_SCORE = 0.02  # a threshold that many detections pass
STRICT_IOU = 0.3
FEW = 3  # detections asked for
ROUNDING = 1e-3  # pixels beyond an edge, or of a sum of probabilities
IOU_ROUNDING = 0.005
NUMPY_TYPES = {"float": np.float32, "int64": np.int64}


class AnswerError(ExportError):
    """An answer that docs/graph.md does not allow; the message says what is wrong with it."""


def check_answer(package: ModelPackage, image: Image) -> int:
    """How many detections, or classes, the answer to ``image`` uint8 [H, W, 3] has.

    Raises AnswerError unless types, shapes, ranges and order are those of docs/graph.md.
    """
    manifest = package.manifest
    outputs = answer(package, [image], score_threshold=LOW_SCORE)
    _check_types(manifest, outputs)
    if manifest.task == "classification":
        _check_probabilities(manifest, outputs[0])
        return outputs[0].size
    check_rows(outputs, 0)
    found = Detections.from_outputs(outputs, 0)
    _check_detections(manifest, found, image)
    return len(found)


def check_settings(package: ModelPackage, image: Image) -> None:
    """Raise AnswerError unless each of a detector's run-time inputs has its effect on the answer to
    ``image`` uint8 [H, W, 3]."""

    def run(**settings: float) -> Detections:
        low = {"score_threshold": LOW_SCORE, **settings}
        return Detections.from_outputs(answer(package, [image], **low), 0)

    loose = run()
    if (loose.scores <= LOW_SCORE).any():
        raise AnswerError(f"a score of {loose.scores[-1]:.4f} passes the threshold {LOW_SCORE}")
    middle = float(np.median(loose.scores)) if len(loose) else 0.5
    kept = loose.scores[loose.scores > np.float32(middle)]
    if not np.array_equal(run(score_threshold=middle).scores, kept):
        raise AnswerError(f"score_threshold {middle:.4f} does not keep just what scores above it")
    if not np.array_equal(run(max_detections=FEW).scores, loose.scores[:FEW]):
        raise AnswerError(f"max_detections {FEW} does not keep the best {FEW}")
    for class_agnostic in (False, True):
        strict = run(iou_threshold=STRICT_IOU, class_agnostic=class_agnostic)
        overlapping = box_iou(strict.boxes, strict.boxes) > STRICT_IOU + IOU_ROUNDING
        if not class_agnostic:
            overlapping &= strict.labels[:, None] == strict.labels
        np.fill_diagonal(overlapping, val=False)
        if overlapping.any():
            raise AnswerError(f"boxes overlap by more than the iou_threshold {STRICT_IOU}")


def check_batch(package: ModelPackage, images: list[Image]) -> None:
    """Raise AnswerError unless ``images`` [H, W, 3], all of one size, have the same answers in one
    batch as each alone."""
    together = answer(package, images)
    for row, image in enumerate(images):
        if not _same(package.manifest, answer(package, [image]), together, row):
            raise AnswerError(
                f"image {row} of a batch of {len(images)} has another answer than alone"
            )


def check_rows(outputs: Outputs, image: int) -> None:
    """Raise AnswerError unless a detector's scores descend, and rows past num_detections are
    padding."""
    number, boxes, scores, labels = (output[image] for output in outputs)
    if not 0 <= number <= len(scores):
        raise AnswerError(f"num_detections is {number} of {len(scores)} rows")
    if boxes[number:].any() or scores[number:].any():
        raise AnswerError("boxes or scores past num_detections are not 0")
    if (labels[number:] != -1).any():
        raise AnswerError("labels past num_detections are not -1")
    if (np.diff(scores) > 0).any():
        raise AnswerError("scores do not descend")


def answer(package: ModelPackage, images: list[Image], **settings: float) -> Outputs:
    """The graph's outputs in the manifest's order."""
    return list(package.run(to_feeds(package.manifest, images, **settings)).values())


def _check_types(manifest: ModelManifest, outputs: Outputs) -> None:
    """Types and shapes are those of the manifest, one size for each named dimension."""
    sizes: dict[str | int, int] = {"N": 1}
    for tensor, output in zip(manifest.outputs, outputs, strict=True):
        if output.dtype != NUMPY_TYPES[tensor.dtype] or output.ndim != len(tensor.shape):
            raise AnswerError(f"{tensor.name} is {output.dtype} {list(output.shape)}, not {tensor}")
        for stated, actual in zip(tensor.shape, output.shape, strict=True):
            if actual != (stated if isinstance(stated, int) else sizes.setdefault(stated, actual)):
                raise AnswerError(
                    f"{tensor.name} has the shape {list(output.shape)}, not {tensor.shape}"
                )
        if not np.isfinite(output).all():
            raise AnswerError(f"{tensor.name} holds values that are not finite")


def _check_probabilities(manifest: ClassificationManifest, probabilities: Array) -> None:
    if probabilities.min() < 0 or probabilities.max() > 1 + ROUNDING:
        raise AnswerError("probabilities are not in 0..1")
    if manifest.activation == "softmax" and abs(float(probabilities.sum()) - 1) > ROUNDING:
        raise AnswerError(f"probabilities add up to {probabilities.sum():.4f}, not to 1")


def _check_detections(manifest: ModelManifest, found: Detections, image: Image) -> None:
    if ((found.scores < 0) | (found.scores > 1)).any():
        raise AnswerError("a score is not in 0..1")
    if ((found.labels < 0) | (found.labels >= len(manifest.labels))).any():
        raise AnswerError("a label is none of the manifest's")
    height, width = image.shape[:2]
    limit = np.array([width, height] * 2) + ROUNDING
    if (found.boxes < -ROUNDING).any() or (found.boxes > limit).any():
        raise AnswerError(f"a box reaches beyond the input of {width} x {height}")
    if (found.boxes[:, 2:] < found.boxes[:, :2]).any():
        raise AnswerError("a box ends before it begins")


def _same(manifest: ModelManifest, alone: Outputs, together: Outputs, row: int) -> bool:
    tolerance = TOLERANCES[manifest.precision]
    if manifest.task == "classification":
        return bool(np.abs(alone[0][0] - together[0][row]).max() <= tolerance.score)
    case = Case(
        "",
        np.empty(0, dtype=np.uint8),
        score_threshold=manifest.defaults.score_threshold,
        max_detections=manifest.defaults.max_detections,
    )
    first, second = Detections.from_outputs(alone, 0), Detections.from_outputs(together, row)
    return not len(compare_detections(first, second, case, tolerance, Tally()))
