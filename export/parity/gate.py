"""The gate itself: runs both models on every case, and raises where they disagree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from export.parity.answers import AnswerError, check_rows
from export.parity.cases import (
    BATCH_SIZES,
    EVERYTHING,
    SCORE_THRESHOLD,
    Case,
    detector_cases,
    image_cases,
    photo_cases,
)
from export.parity.comparison import ParityError, Tally, compare_detections
from export.parity.model import Feeds, Image, Model, Outputs
from export.progress import OnProgress, ignore_progress
from service.manifest import REGIONS, PackageTask
from service.matching import Detections
from service.provenance import Parity, ParityReference, Tolerance


def check_parity(
    task: PackageTask,
    reference: Model,
    candidate: Model,
    photos: Sequence[Image],
    tolerance: Tolerance,
    on_progress: OnProgress = ignore_progress,
    kind: ParityReference = "boxport_network",
) -> Parity:
    """Compare two models on ``photos``, uint8 [H, W, 3] as the graph reads them, and on the cases
    of `export.parity.cases` made from them.

    Detections are compared one by one, see `compare_detections`; of a classifier the probabilities
    and the best class; of a companion the distances, as shares of themselves.

    kind: what ``reference`` is, for the manifest.

    Raises ParityError at the first difference where the tolerance allows none, else at the end if
    too few answers match; and if no photo has a detection.
    """
    gate = Gate(reference, candidate, tolerance)
    detects = task == "detection"
    compare = {
        "detection": gate.compare_detections,
        "classification": gate.compare_probabilities,
        "novelty": gate.compare_distances,
    }[task]
    plain = list(photo_cases(photos))
    cases = [*plain, *image_cases(photos)]
    if detects:
        cases += detector_cases(reference, photos)
    tally = gate.tally
    for done, case in enumerate(cases):
        on_progress(done, len(cases))
        answers = gate.run(case, case.feeds(reference.inputs))
        before = tally.compared
        for image in range(len(case.images)):
            compare(answers, image)
        tally.add_case(case, tally.compared - before if detects else None)
    gate.decide()
    if detects and not any(tally.cases[case.name].detections for case in plain):
        raise ParityError(f"no photo has a detection above {SCORE_THRESHOLD}: nothing to compare")
    return Parity(
        reference=kind,
        images=len(photos),
        batch_sizes=BATCH_SIZES,
        cases=tuple(tally.cases.values()),
        tolerance=tolerance,
        agreeing=tally.share,
        max_score_difference=tally.score,
        max_box_difference_px=tally.box if detects else None,
        max_contour_difference_px=tally.contour if gate.outlines else None,
        min_iou=tally.iou if detects else None,
        detections_compared=tally.compared if detects else None,
        ambiguous=tally.ambiguous if detects else None,
    )


@dataclass(frozen=True)
class Answers:
    """What both models answer to one case."""

    case: Case
    feeds: Feeds
    expected: Outputs
    actual: Outputs

    def error(self, image: int, message: str) -> ParityError:
        return ParityError(f"{self.case}, image {image}: {message}", self.feeds, image)


class Gate:
    """One comparison of two models, and what it has seen so far.

    outlines: whether they find outlines.
    """

    def __init__(self, reference: Model, candidate: Model, tolerance: Tolerance) -> None:
        self.reference, self.candidate, self.tolerance = reference, candidate, tolerance
        self.tally, self.outlines = Tally(), False
        self._worst: tuple[float, ParityError] | None = None

    def run(self, case: Case, feeds: Feeds) -> Answers:
        """Both answers; raises ParityError if the candidate gives none, or one of another shape."""
        expected = self.reference.run(feeds)
        name = self.candidate.name
        try:
            actual = self.candidate.run(feeds)
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            reason = str(error).splitlines()[0]
            raise ParityError(f"{case}: {name} gives no answer: {reason}", feeds) from error
        shapes = [[output.shape for output in outputs] for outputs in (expected, actual)]
        if shapes[0] != shapes[1]:
            raise ParityError(
                f"{case}: outputs of {self.reference.name} have the shapes {shapes[0]}, those of"
                f" {name} {shapes[1]}",
                feeds,
            )
        return Answers(case, feeds, expected, actual)

    def compare_probabilities(self, answers: Answers, image: int) -> None:
        """Of two classes that are as probable either may be the best."""
        expected, actual = answers.expected[0][image], answers.actual[0][image]
        allowed = self.tolerance.score
        difference = float(np.abs(expected - actual).max())
        lead = expected.max() - expected[actual.argmax()]
        if difference <= allowed and lead <= 2 * allowed:
            self.tally.compared += 1
            self.tally.score = max(self.tally.score, difference)
            return
        self.tally.unmatched += 2  # an image has one answer on either side
        message = (
            f"probabilities differ by {difference:.2g} (at most {allowed:g}), best classes are"
            f" {expected.argmax()} in {self.reference.name} and {actual.argmax()} in"
            f" {self.candidate.name}"
        )
        self._note(difference, answers.error(image, message))

    def compare_distances(self, answers: Answers, image: int) -> None:
        """Each as a share of the reference's, as they have no greatest value."""
        expected, actual = answers.expected[0][image], answers.actual[0][image]
        difference = float((np.abs(expected - actual) / np.maximum(np.abs(expected), 1e-6)).max())
        if difference <= self.tolerance.score:  # NaN is not
            self.tally.compared += 1
            self.tally.score = max(self.tally.score, difference)
            return
        self.tally.unmatched += 2
        message = (
            f"distances are {expected} in {self.reference.name} and {actual} in"
            f" {self.candidate.name} (at most {self.tolerance.score:g} of them apart)"
        )
        self._note(difference, answers.error(image, message))

    def compare_detections(self, answers: Answers, image: int) -> None:
        case = answers.case
        try:
            check_rows(answers.actual, image, case.score_threshold, case.max_detections)
        except AnswerError as error:
            raise answers.error(image, str(error)) from error
        expected = Detections.from_outputs(answers.expected, image)
        self.outlines |= expected.contours is not None
        actual = Detections.from_outputs(answers.actual, image)
        candidates = partial(self._candidates, answers.feeds, image)
        unmatched = compare_detections(
            expected, actual, case, self.tolerance, self.tally, candidates
        )
        if len(unmatched):
            message = (
                f"{self.reference.name} finds {len(expected)} objects and {self.candidate.name}"
                f" {len(actual)}; {len(unmatched)} of both have no match on the other side, the"
                f" first with label {unmatched.labels[0]}, score {unmatched.scores[0]:.4f}, box"
                f" {unmatched.boxes[0].round(2).tolist()}"
            )
            self._note(len(unmatched), answers.error(image, message))

    def decide(self) -> None:
        """Raise ParityError, which names the worst difference, if too few answers match."""
        share, needed = self.tally.share, self.tolerance.matched
        if self._worst is not None and share < needed:
            worst = self._worst[1]
            shown = math.floor(1000 * share) / 10  # rounded up it could be what it must be
            raise ParityError(
                f"{shown}% of the answers agree, but {needed:.0%} must; the worst: {worst}",
                worst.feeds,
                worst.image,
            )

    def _note(self, size: float, error: ParityError) -> None:
        """Raise ``error`` where every answer must match, else keep it if it is the greatest."""
        if self.tolerance.matched == 1:
            raise error
        if self._worst is None or size > self._worst[0]:
            self._worst = size, error

    def _candidates(self, feeds: Feeds, image: int) -> tuple[Detections, Detections]:
        """What either model finds in one image of a batch if no box suppresses another."""
        feeds = {
            **feeds,
            **{n: feeds[n][image : image + 1] for n in ("images", REGIONS) if n in feeds},
            "iou_threshold": np.array(1, dtype=np.float32),
            "max_detections": np.array(EVERYTHING, dtype=np.int64),
            "class_agnostic": np.array(False),
        }
        return (
            Detections.from_outputs(self.reference.run(feeds), 0),
            Detections.from_outputs(self.candidate.run(feeds), 0),
        )
