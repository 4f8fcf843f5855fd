"""An owner's answers beside the package's, both from the bytes of the photos' files on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.evaluation.column import PackageColumn
from export.parity.cases import Case
from export.parity.comparison import Tally, compare_detections
from export.progress import OnProgress, ignore_progress
from export.proof.answers import OwnerAnswers, Probabilities, ProofError
from service.inference.classifier import ClassificationQuery
from service.inference.detector import DetectionQuery
from service.inference.task import Row
from service.manifest import DetectionDefaults, ModelManifest, Task
from service.matching import Detections
from service.package import ModelPackage
from service.provenance import Allowance, GraphParity, Parity, Tolerance

# The same photo is resized by other code than the owner's, often to floats and not to 8 bits, which
# random networks turn into differences of up to .03 in scores.
TOLERANCES: dict[Task, Tolerance] = {
    "detection": Tolerance(score=0.03, iou=0.9, matched=0.97),
    "classification": Tolerance(score=0.03, iou=0.0, matched=1.0),
}
LEAST_SCORE = 0.05  # that is compared: the floor of torchvision's detectors
LIMITS = (100, 200, 300)  # detections of a photo at which public implementations stop
MOST_DETECTIONS = 1000  # that a package is asked for
MOST_EXCUSED = 0.5  # of an owner's detections
TOLD_APART = 3  # times the tolerance, by which a classifier's answers to two photos must differ
NO_IMAGES = np.zeros((0, 0, 0, 3), dtype=np.uint8)


def prove(
    owner: OwnerAnswers,
    package: ModelPackage,
    graph: GraphParity | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Parity:
    """What the manifest says of a package that answers as its owner's model does.

    package: of whatever session. graph: what its graph was compared with before.

    Raises ProofError if there is nothing to compare, and Disagreement if too few answers agree.
    """
    manifest = package.manifest
    check_worth(owner, manifest)
    tally = compare(owner, package, on_progress)
    tolerance = TOLERANCES[manifest.task]
    detects = manifest.task == "detection"
    if not agrees(owner, tally, tolerance):
        raise Disagreement(owner, manifest, tally)
    return Parity(
        reference=owner.source,
        images=len(owner.photos),
        batch_sizes=(1,),
        tolerance=tolerance,
        agreeing=tally.share,
        max_score_difference=tally.score,
        max_box_difference_px=tally.box if detects else None,
        min_iou=tally.iou if detects else None,
        detections_compared=tally.compared if detects else None,
        ambiguous=tally.ambiguous if detects else None,
        allowances=_allowances(tally, tolerance, asked(owner, manifest)) if detects else None,
        graph=graph,
    )


class Disagreement(ProofError):
    """A package that does not answer as its owner's model does."""

    def __init__(self, owner: OwnerAnswers, manifest: ModelManifest, tally: Tally) -> None:
        self.tally = tally
        super().__init__(f"{owner.name} and the package do not agree: {counted(manifest, tally)}")


def counted(manifest: ModelManifest, tally: Tally) -> str:
    """How many answers agree, in words."""
    if manifest.task == "classification":
        total = tally.compared + tally.unmatched // 2
        return f"{tally.compared} of {total} photos have the same probabilities"
    total = 2 * tally.compared + tally.unmatched
    return f"{2 * tally.compared} of {total} detections on both sides have their match"


def agrees(owner: OwnerAnswers, tally: Tally, tolerance: Tolerance) -> bool:
    """Whether enough of the answers have a match, and not most of them an excuse."""
    stated = sum(len(answer) for answer in owner.answers if isinstance(answer, Detections))
    compared = tally.compared >= max(1, (1 - MOST_EXCUSED) * (stated - tally.beneath))
    return bool(tally.share >= tolerance.matched and compared)


def check_worth(owner: OwnerAnswers, manifest: ModelManifest) -> None:
    """Raise ProofError for answers with which anything would agree."""
    number = len(owner.photos)
    if manifest.task == "detection":
        found = [a for a in owner.answers if isinstance(a, Detections) and len(a)]
        if not any(answer.scores[0] > LEAST_SCORE for answer in found):
            raise ProofError(
                f"{owner.name} finds nothing above {LEAST_SCORE} in {number} photos, so there is"
                " nothing to compare; give --photos of what it was trained to find"
            )
        return
    shares = np.stack([answer for answer in owner.answers if not isinstance(answer, Detections)])
    with np.errstate(invalid="ignore"):
        spread = float(np.nanmax(np.fmax.reduce(shares) - np.fmin.reduce(shares)))
    if spread < TOLD_APART * TOLERANCES["classification"].score:
        raise ProofError(
            f"{owner.name} answers {number} photos alike, to {spread:.2g}, and a model that reads"
            " none of them would agree; give --photos of several classes"
        )


@dataclass(frozen=True)
class Asked:
    """What an owner's detector was asked: above which score, for how many detections, and above
    which overlap one suppresses another."""

    score_threshold: float
    max_detections: int
    iou_threshold: float


def asked(owner: OwnerAnswers, manifest: ModelManifest) -> Asked:
    """As far as its answers show it: they have a lowest score, and where several have the very
    number of detections that public implementations stop at, that was the limit; the overlap is
    the package's default."""
    assert isinstance(manifest.defaults, DetectionDefaults)
    found = [answer for answer in owner.answers if isinstance(answer, Detections) and len(answer)]
    lowest = min((float(answer.scores[-1]) for answer in found), default=0.0)
    most = max(map(len, found), default=0)
    limit = most if most in LIMITS else MOST_DETECTIONS
    return Asked(max(lowest, LEAST_SCORE), limit, manifest.defaults.iou_threshold)


def compare(
    owner: OwnerAnswers,
    package: ModelPackage,
    on_progress: OnProgress = ignore_progress,
    excuses: bool = True,
) -> Tally:
    """Both sides' answers to each photo, matched; raises PhotoError naming one that cannot be
    read.

    excuses: whether the package is asked again for what suppression left out, where that may
    explain a difference.
    """
    if package.manifest.task == "classification":
        return _compare_classes(owner, package, on_progress)
    return _compare_detections(owner, package, on_progress, excuses)


def _compare_classes(owner: OwnerAnswers, package: ModelPackage, on_progress: OnProgress) -> Tally:
    tally, allowed = Tally(), TOLERANCES["classification"].score
    for expected, actual in zip(
        owner.answers, probabilities(package, owner.photos, on_progress), strict=True
    ):
        assert not isinstance(expected, Detections)
        stated = ~np.isnan(expected)
        expected, actual = expected[stated], actual[stated]
        difference = float(np.abs(expected - actual).max())
        lead = float(expected.max() - expected[actual.argmax()])
        tally.score = max(tally.score, difference)
        if difference <= allowed and lead <= 2 * allowed:
            tally.compared += 1
        else:
            tally.unmatched += 2  # an answer on either side
    return tally


def _compare_detections(
    owner: OwnerAnswers, package: ModelPackage, on_progress: OnProgress, excuses: bool
) -> Tally:
    tally, tolerance, settings = Tally(), TOLERANCES["detection"], asked(owner, package.manifest)
    case = Case(
        "",
        NO_IMAGES,
        "",
        settings.score_threshold,
        settings.iou_threshold,
        settings.max_detections,
    )
    low = max(settings.score_threshold - tolerance.score, 0.0)
    rows = detections(package, owner.photos, low, case.iou_threshold, on_progress)
    for photo, stated, actual in zip(owner.photos, owner.answers, rows, strict=True):
        assert isinstance(stated, Detections)
        expected = stated.select(np.flatnonzero(stated.scores > LEAST_SCORE))
        tally.beneath += len(stated) - len(expected)

        def candidates(photo: Path = photo, actual: Detections = actual) -> Any:
            [found] = detections(package, [photo], low, 1.0)
            return actual, found

        compare_detections(
            expected, actual, case, tolerance, tally, candidates if excuses else None
        )
    return tally


def detections(
    package: ModelPackage,
    photos: Sequence[Path],
    score_threshold: float,
    iou_threshold: float,
    on_progress: OnProgress = ignore_progress,
) -> list[Detections]:
    """What the package finds in each photo, in the photo's pixels and with the labels' ids."""
    query = DetectionQuery(
        np.float32(score_threshold), np.float32(iou_threshold), MOST_DETECTIONS, None
    )
    rows = PackageColumn(package, query).answer(photos, on_progress)
    return [Detections.from_rows(row) for row in rows]


def probabilities(
    package: ModelPackage, photos: Sequence[Path], on_progress: OnProgress = ignore_progress
) -> list[Probabilities]:
    """The package's for each photo [C], in the order of its labels."""
    labels = package.manifest.labels
    places = {label.id: place for place, label in enumerate(labels)}
    answers = PackageColumn(package, ClassificationQuery(len(labels))).answer(photos, on_progress)
    return [_by_place(rows, places) for rows in answers]


def _by_place(rows: Sequence[Row], places: dict[int, int]) -> npt.NDArray[np.float64]:
    shares = np.zeros(len(places))
    for row in rows:
        shares[places[row["label_id"]]] = row["score"]
    return shares


def _allowances(tally: Tally, tolerance: Tolerance, settings: Asked) -> tuple[Allowance, ...]:
    return (
        Allowance(
            cause="resize: other code makes other pixels, rounded to 8 bits",
            allowed=f"scores within {tolerance.score:g}, boxes with an IoU of {tolerance.iou:g}",
        ),
        Allowance(
            cause="thresholds and cuts: candidates beyond a limit or a score are dropped",
            allowed=f"scores within {tolerance.score:g} of {settings.score_threshold:.3g}, or of"
            f" the last of {settings.max_detections}",
            answers=tally.edge,
        ),
        Allowance(
            cause="suppression: either of two boxes with nearly equal scores may go",
            allowed=f"scores within {tolerance.score:g} of each other, and overlapping",
            answers=tally.ambiguous,
        ),
    )
