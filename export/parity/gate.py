"""The gate itself: runs both models on every case, and says what it saw or where they part."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnxruntime as ort
from torch import nn

from export.parity.cases import (
    BATCH_SIZES,
    SCORE_THRESHOLD,
    Case,
    detector_cases,
    image_cases,
    photo_cases,
)
from export.parity.comparison import (
    TOLERANCES,
    Detections,
    ParityError,
    Tally,
    compare_detections,
)
from export.parity.model import Feeds, Image, Model, Outputs, onnx_model, torch_model
from service.manifest import Parity, Tolerance

OnProgress = Callable[[int, int], None]  # how many of how many batches are compared
EVERYTHING = 2**31 - 1  # detections: more than any graph can give
FP32 = TOLERANCES["fp32"]


def ignore_progress(done: int, total: int) -> None:
    pass


def check_classifier(
    graph: nn.Module,
    session: ort.InferenceSession,
    photos: Sequence[Image],
    on_progress: OnProgress = ignore_progress,
) -> Parity:
    """`compare_classifiers` of a graph in PyTorch and its export in full precision."""
    return compare_classifiers(torch_model(graph), onnx_model(session), photos, FP32, on_progress)


def check_detector(
    graph: nn.Module,
    session: ort.InferenceSession,
    photos: Sequence[Image],
    on_progress: OnProgress = ignore_progress,
) -> Parity:
    """`compare_detectors` of a graph in PyTorch and its export in full precision."""
    return compare_detectors(torch_model(graph), onnx_model(session), photos, FP32, on_progress)


def compare_classifiers(
    reference: Model,
    candidate: Model,
    photos: Sequence[Image],
    tolerance: Tolerance,
    on_progress: OnProgress = ignore_progress,
) -> Parity:
    """Compare probabilities and the best class of ``photos``, uint8 [H, W, 3] as the graph reads
    them; raises ParityError. Of two classes that are as probable either may be the best."""
    tally, verdict = Tally(), Verdict(tolerance)
    cases = [*photo_cases(photos), *image_cases(photos)]
    for done, case in enumerate(cases):
        on_progress(done, len(cases))
        feeds = case.classifier_feeds()
        (expected,), (actual,) = run_both(reference, candidate, case, feeds)
        tally.add_case(case, None)
        for i, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
            difference = float(np.abs(wanted - got).max())
            lead = wanted.max() - wanted[got.argmax()]
            if difference <= tolerance.score and lead <= 2 * tolerance.score:
                tally.compared += 1
                tally.score = max(tally.score, difference)
                continue
            tally.lost += 2  # an image has one answer on either side
            fault = ParityError(
                f"{case}, image {i}: probabilities differ by {difference:.2g} (at most"
                f" {tolerance.score:g}), best classes are {wanted.argmax()} in {reference.name}"
                f" and {got.argmax()} in {candidate.name}",
                feeds,
                i,
            )
            verdict.note(fault, difference)
    verdict.give(tally)
    return to_parity(reference, photos, tolerance, tally)


def compare_detectors(
    reference: Model,
    candidate: Model,
    photos: Sequence[Image],
    tolerance: Tolerance,
    on_progress: OnProgress = ignore_progress,
) -> Parity:
    """Compare detections in ``photos``, uint8 [H, W, 3] as the graph reads them, and in every
    case of `export.parity.cases`; raises ParityError."""
    tally, verdict = Tally(), Verdict(tolerance)
    plain = list(photo_cases(photos))
    cases = [*plain, *image_cases(photos), *detector_cases(reference, photos)]
    for done, case in enumerate(cases):
        on_progress(done, len(cases))
        feeds = case.detector_feeds()
        expected, actual = run_both(reference, candidate, case, feeds)
        before = tally.compared
        for i in range(len(case.images)):
            check_rows(actual, case, feeds, i)
            wanted, got = Detections.of(expected, i), Detections.of(actual, i)
            lost = compare_detections(
                wanted,
                got,
                case,
                tolerance,
                tally,
                partial(candidates, reference, candidate, feeds, i),
            )
            if len(lost):
                fault = ParityError(
                    f"{case}, image {i}: {reference.name} finds {len(wanted)} objects and"
                    f" {candidate.name} {len(got)}, of which {len(lost)} agree with none of the"
                    f" other side, the first with label {lost.labels[0]}, score"
                    f" {lost.scores[0]:.4f}, box {lost.boxes[0].round(2).tolist()}",
                    feeds,
                    i,
                )
                verdict.note(fault, len(lost))
        tally.add_case(case, tally.compared - before)
    verdict.give(tally)
    if not any(tally.cases[case.name].detections for case in plain):
        raise ParityError(f"no photo has a detection above {SCORE_THRESHOLD}: nothing to compare")
    return to_parity(reference, photos, tolerance, tally, detects=True)


class Verdict:
    """Ends the comparison at the first fault where none is allowed, else judges their share."""

    def __init__(self, tolerance: Tolerance) -> None:
        self.tolerance = tolerance
        self.worst: ParityError | None = None
        self._size = 0.0

    def note(self, fault: ParityError, size: float) -> None:
        if self.tolerance.matched == 1:
            raise fault
        if self.worst is None or size > self._size:
            self.worst, self._size = fault, size

    def give(self, tally: Tally) -> None:
        """Raise ParityError, which names the worst fault, if there were too many."""
        if self.worst is not None and tally.share < self.tolerance.matched:
            raise ParityError(
                f"{tally.share:.1%} of the answers agree, but {self.tolerance.matched:.0%} must;"
                f" the worst: {self.worst}",
                self.worst.feeds,
                self.worst.image,
            )


def run_both(
    reference: Model, candidate: Model, case: Case, feeds: Feeds
) -> tuple[Outputs, Outputs]:
    """Both answers; raises ParityError if the candidate gives none, or one of another shape."""
    expected = reference.run(feeds)
    try:
        actual = candidate.run(feeds)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        reason = str(error).splitlines()[0]
        raise ParityError(f"{case}: {candidate.name} gives no answer: {reason}", feeds) from error
    shapes = [[output.shape for output in outputs] for outputs in (expected, actual)]
    if shapes[0] != shapes[1]:
        raise ParityError(
            f"{case}: outputs of {reference.name} have the shapes {shapes[0]}, those of"
            f" {candidate.name} {shapes[1]}",
            feeds,
        )
    return expected, actual


def candidates(
    reference: Model, candidate: Model, feeds: Feeds, image: int
) -> tuple[Detections, Detections]:
    """What either model finds in one image of a batch if no box suppresses another."""
    feeds = {
        **feeds,
        "images": feeds["images"][image : image + 1],
        "iou_threshold": np.array(1, dtype=np.float32),
        "max_detections": np.array(EVERYTHING, dtype=np.int64),
        "class_agnostic": np.array(False),
    }
    return Detections.of(reference.run(feeds), 0), Detections.of(candidate.run(feeds), 0)


def check_rows(outputs: Outputs, case: Case, feeds: Feeds, image: int) -> None:
    """Raise ParityError if scores do not descend, or rows past num_detections say anything."""
    numbers, _, scores, labels = outputs
    number = int(numbers[image])
    if np.any(labels[image, number:] != -1) or np.any(scores[image, number:] != 0):
        raise ParityError(
            f"{case}, image {image}: rows past num_detections are not padding", feeds, image
        )
    if np.any(np.diff(scores[image]) > 0):
        raise ParityError(f"{case}, image {image}: scores do not descend", feeds, image)


def to_parity(
    reference: Model,
    photos: Sequence[Image],
    tolerance: Tolerance,
    tally: Tally,
    detects: bool = False,
) -> Parity:
    """What the manifest says of a comparison that was passed."""
    return Parity(
        reference=reference.name,
        images=len(photos),
        batch_sizes=BATCH_SIZES,
        cases=tuple(tally.cases.values()),
        tolerance=tolerance,
        agreeing=tally.share,
        max_score_difference=tally.score,
        max_box_difference_px=tally.box if detects else None,
        min_iou=tally.iou if detects else None,
        detections_compared=tally.compared if detects else None,
        ambiguous=tally.ambiguous if detects else None,
    )
