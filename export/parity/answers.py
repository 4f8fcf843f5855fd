"""Checks of a graph's answers against docs/graph.md, whatever computed them."""

from dataclasses import replace

import numpy as np

from export.errors import ExportError
from export.parity.cases import (
    EVERYTHING,
    FEW_DETECTIONS,
    IOU_THRESHOLD,
    IOU_THRESHOLDS,
    MANY_DETECTIONS,
    Case,
)
from export.parity.comparison import TOLERANCES, Tally, compare_detections
from export.parity.model import Array, Image, Outputs, stack, to_feeds
from models.postprocess import MAX_CANDIDATES
from service.manifest import ClassificationManifest, ModelManifest, NoveltyManifest, PackageManifest
from service.matching import Detections, box_iou
from service.package import ModelPackage

LOW_SCORE = 0.02  # a threshold that many detections pass
ROUNDING = 1e-3  # pixels beyond an edge, or of a sum of probabilities
EXACT = TOLERANCES["fp32"]  # between answers of one graph, whatever its precision
EXACT_BOX_PX = 0.01
NUMPY_TYPES = {"float": np.float32, "int64": np.int64}
AnyPackage = ModelPackage[PackageManifest]


class AnswerError(ExportError):
    """An answer that docs/graph.md does not allow; the message says what is wrong with it."""


def check_answer(package: AnyPackage, image: Image) -> int:
    """How many detections, classes or distances the answer to ``image`` uint8 [H, W, 3] has.

    Raises AnswerError unless types, shapes, ranges and order are those of docs/graph.md.
    """
    manifest = package.manifest
    outputs = answer(package, [image], score_threshold=LOW_SCORE)
    _check_types(manifest, outputs)
    if isinstance(manifest, NoveltyManifest):
        if outputs[0].min() < 0:
            raise AnswerError("a distance is less than 0")
        return outputs[0].size
    if manifest.task == "classification":
        _check_probabilities(manifest, outputs[0])
        return outputs[0].size
    check_rows(outputs, 0, LOW_SCORE, manifest.defaults.max_detections)
    found = Detections.from_outputs(outputs, 0)
    _check_detections(manifest, found, image)
    return len(found)


def check_settings(package: ModelPackage, image: Image) -> None:
    """Raise AnswerError unless a detector's answers to ``image`` uint8 [H, W, 3] at settings from
    all of their ranges are what greedy NMS leaves of all that it finds, see `select`."""
    pixels = stack([image])
    by_class = _check_suppression(package, pixels, class_agnostic=False)
    of_any_class = _check_suppression(package, pixels, class_agnostic=True)
    _check_unsuppressed(by_class, of_any_class)


def _check_suppression(package: ModelPackage, pixels: Array, class_agnostic: bool) -> Detections:
    """All that is found in ``pixels`` uint8 [1, H, W, 3] where no overlap is too much, once the
    other settings leave of it what they should."""
    best = Case("", pixels, "", LOW_SCORE, 1.0, MANY_DETECTIONS, class_agnostic)
    found, _ = _found_of(package, best)
    low = float(found.scores[-1]) if len(found) == MANY_DETECTIONS else LOW_SCORE
    all_of_it = replace(best, score_threshold=low, max_detections=EVERYTHING)
    everything, rows = _found_of(package, all_of_it)
    classes = len(package.manifest.labels)
    # an adopted file may itself leave out what scores less, and have few candidates
    whole = package.manifest.provenance.adopted is None
    if whole or classes > 1:  # one class does not show whether there are more of them
        _check_uncut(everything, rows, classes)
    if not class_agnostic:  # else there may be no more candidates
        more, rows = _found_of(package, replace(all_of_it, score_threshold=0.0))
        if whole and len(more) <= len(everything) < rows:
            raise AnswerError(f"score_threshold 0 finds no more than {low:.4f}")
        if classes > 1:  # else all candidates may be among them
            _check_uncut(more, rows, classes)
    for setting, case in _varied(all_of_it, everything).items():
        expected = select(everything, case)
        actual, _ = _found_of(package, case)
        lost = _differing(expected, actual, case, everything)
        if len(lost):
            raise AnswerError(
                f"{setting} leaves {len(actual)} of {len(everything)} detections, NMS with it"
                f" leaves {len(expected)}; {len(lost)} differ"
            )
    return everything


def _found_of(package: ModelPackage, case: Case) -> tuple[Detections, int]:
    """What is found in the one image of ``case``, and how many rows the answer has, once these are
    checked."""
    outputs = list(package.run(case.feeds([t.name for t in package.manifest.inputs])).values())
    check_rows(outputs, 0, case.score_threshold, case.max_detections)
    return Detections.from_outputs(outputs, 0), outputs[2].shape[1]


def _check_uncut(found: Detections, rows: int, classes: int) -> None:
    """Raise AnswerError if answers end after ``rows`` detections, although all were asked for and
    the candidates could give more: not every box is found as every class."""
    is_cut = len(found) == rows < classes * MAX_CANDIDATES
    if is_cut and not _has_each_label(found, classes):
        raise AnswerError(f"no answer has more than {rows} detections, whatever is asked for")


def _varied(all_of_it: Case, everything: Detections) -> dict[str, Case]:
    """``all_of_it`` with one other setting each, by what that is."""
    scores = everything.scores if len(everything) else np.array([0.5], np.float32)
    cases = {}
    # which half of all pass, and the best alone
    for score in (float(np.median(scores)), float(scores[:2].min())):
        cases[f"score_threshold {score:.4f}"] = replace(all_of_it, score_threshold=score)
    for iou in (0.0, *IOU_THRESHOLDS, IOU_THRESHOLD):
        cases[f"iou_threshold {iou}"] = replace(all_of_it, iou_threshold=iou)
    for number in (*FEW_DETECTIONS, MANY_DETECTIONS):
        cases[f"max_detections {number}"] = replace(all_of_it, max_detections=number)
    return cases


def _check_unsuppressed(by_class: Detections, of_any_class: Detections) -> None:
    """Where nothing suppresses, a box that is found as one class is found as its best class too.
    Else something was suppressed by boxes that another class gives other scores."""
    low = of_any_class.scores.min(initial=1.0)
    found = by_class.select(by_class.scores >= low)
    gaps = np.abs(found.boxes[:, None] - of_any_class.boxes).max(axis=2)  # pixels
    missing = int((gaps.min(axis=1, initial=np.inf) > EXACT_BOX_PX).sum())
    if missing:
        raise AnswerError(
            f"iou_threshold 1 suppresses boxes: {missing} of {len(found)} that are found as one"
            " class are not found with class_agnostic"
        )
    _check_labels(by_class, of_any_class)


def _check_labels(by_class: Detections, of_any_class: Detections) -> None:
    """What class_agnostic finds has the label, score and box of one of those found by class."""
    low = by_class.scores.min(initial=1.0) + EXACT.score
    best = of_any_class.select(of_any_class.scores > low)
    rows, columns = np.nonzero(
        (best.labels[:, None] == by_class.labels)
        & (np.abs(best.scores[:, None] - by_class.scores) <= EXACT.score)
    )
    gaps = np.abs(best.boxes[rows] - by_class.boxes[columns]).max(axis=1)  # pixels
    known = np.unique(rows[gaps <= EXACT_BOX_PX])
    if len(known) < len(best):
        raise AnswerError(
            f"class_agnostic gives {len(best) - len(known)} of {len(best)} boxes a label or a score"
            " that they have of no class"
        )


def _has_each_label(everything: Detections, classes: int) -> bool:
    """Whether each box is there with each of several classes, so that there are no more of them."""
    return classes > 1 and len(np.unique(everything.boxes, axis=0)) * classes <= len(everything)


def _differing(
    expected: Detections, actual: Detections, case: Case, everything: Detections
) -> Detections:
    """Those of one image's detections that have no match; ``everything`` are the candidates."""
    candidates = everything, everything
    return compare_detections(expected, actual, case, EXACT, Tally(), lambda: candidates)


def select(everything: Detections, case: Case) -> Detections:
    """What greedy NMS at the settings of ``case`` leaves of ``everything``, the best first: a box
    goes that overlaps a kept one of its class, or of any if ``class_agnostic``, by more than the
    threshold."""
    found = everything.select(everything.scores > np.float32(case.score_threshold))
    gone = np.zeros(len(found), dtype=bool)
    kept: list[int] = []
    for row in range(len(found)):
        if len(kept) == case.max_detections:
            break
        if gone[row]:
            continue
        kept.append(row)
        suppressed = box_iou(found.boxes[row : row + 1], found.boxes[row:])[0] > case.iou_threshold
        if not case.class_agnostic:
            suppressed &= found.labels[row:] == found.labels[row]
        gone[row:] |= suppressed
    return found.select(np.array(kept, dtype=np.int64))


def check_batch(package: AnyPackage, images: list[Image]) -> None:
    """Raise AnswerError unless ``images`` [H, W, 3], all of one size, have the same answers in one
    batch as each alone, down to a score that many detections pass."""
    together = answer(package, images, score_threshold=LOW_SCORE)
    for row, image in enumerate(images):
        alone = answer(package, [image], score_threshold=LOW_SCORE)
        if not _same(package.manifest, alone, together, row):
            raise AnswerError(
                f"image {row} of a batch of {len(images)} has another answer than alone"
            )


def check_rows(outputs: Outputs, image: int, score_threshold: float, max_detections: int) -> None:
    """Raise AnswerError unless a detector's scores descend and are above ``score_threshold``, there
    are at most ``max_detections``, and rows past num_detections are padding."""
    number, boxes, scores, labels, *more = (output[image] for output in outputs)
    if not 0 <= number <= len(scores):
        raise AnswerError(f"num_detections is {number} of {len(scores)} rows")
    if number > max_detections:
        raise AnswerError(f"{number} detections, max_detections is {max_detections}")
    if any(rows[number:].any() for rows in (boxes, scores, *more)):
        raise AnswerError("boxes, scores or contours past num_detections are not 0")
    if (labels[number:] != -1).any():
        raise AnswerError("labels past num_detections are not -1")
    if (np.diff(scores) > 0).any():
        raise AnswerError("scores do not descend")
    if (scores[:number] <= np.float32(score_threshold)).any():
        low = scores[:number].min()
        raise AnswerError(f"a score of {low:.4f} passes the threshold {score_threshold:.4f}")


def answer(package: AnyPackage, images: list[Image], **settings: float) -> Outputs:
    """The graph's outputs in the manifest's order."""
    return list(package.run(to_feeds(package.manifest, images, **settings)).values())


def _check_types(manifest: PackageManifest, outputs: Outputs) -> None:
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
    if found.contours is not None and (
        (found.contours < -ROUNDING).any() or (found.contours > limit[:2]).any()
    ):
        raise AnswerError(f"a contour reaches beyond the input of {width} x {height}")
    if (found.boxes[:, 2:] < found.boxes[:, :2]).any():
        raise AnswerError("a box ends before it begins")


def _same(manifest: PackageManifest, alone: Outputs, together: Outputs, row: int) -> bool:
    tolerance = TOLERANCES[manifest.precision]
    if manifest.task == "novelty":
        return np.allclose(alone[0][0], together[0][row], rtol=tolerance.score, atol=0)
    if manifest.task == "classification":
        return bool(np.abs(alone[0][0] - together[0][row]).max() <= tolerance.score)
    case = Case(
        "",
        np.empty(0, dtype=np.uint8),
        score_threshold=LOW_SCORE,
        max_detections=manifest.defaults.max_detections,
    )
    first, second = Detections.from_outputs(alone, 0), Detections.from_outputs(together, row)
    return not len(compare_detections(first, second, case, tolerance, Tally()))
