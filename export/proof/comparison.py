"""An owner's answers beside the package's, both from the bytes of the photos' files on.

The package reads pixels that are rounded to 8 bits, and the owner's model often floats: a detector
may turn half a grey level into other boxes. So the package's network can be asked too, before its
pixels are rounded: where it agrees with the owner, the rounding explains what the package does
otherwise.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.evaluation.column import PackageColumn, ReadPhoto
from export.parity.cases import Case
from export.parity.comparison import Tally, compare_sides
from export.progress import OnProgress, ignore_progress
from export.proof.answers import OwnerAnswers, Probabilities, ProofError
from export.proof.pixels import read_unrounded
from service.imaging.files import read_photo
from service.inference.classifier import ClassificationQuery
from service.inference.detector import DetectionQuery
from service.inference.task import Row
from service.manifest import DetectionDefaults, ModelManifest, Task
from service.matching import Criteria, Detections, may_match
from service.package import ModelPackage
from service.provenance import Allowance, GraphParity, Parity, Tolerance

# The same photo is resized by other code than the owner's, often to floats and not to 8 bits, which
# random networks turn into differences of up to .03 in scores.
TOLERANCES: dict[Task, Tolerance] = {
    "detection": Tolerance(score=0.03, iou=0.9, matched=0.97),
    "classification": Tolerance(score=0.03, iou=0.0, matched=1.0),
}
LEAST_SCORE = 0.05  # that is compared: the floor of torchvision's detectors
LIMITS = (10, 20, 50, 100, 200, 300, 500)  # detections of a photo at which models usually stop
LEAST_LIMIT = 5  # which two photos with as many show, whatever the number
MOST_DETECTIONS = 1000  # that a package is asked for
MOST_EXCUSED = 0.5  # of an owner's detections
TOLD_APART = 3  # times the tolerance, by which a classifier's answers to two photos must differ
NO_IMAGES = np.zeros((0, 0, 0, 3), dtype=np.uint8)


def prove(
    owner: OwnerAnswers,
    package: ModelPackage,
    graph: GraphParity | None = None,
    on_progress: OnProgress = ignore_progress,
    network: ModelPackage | None = None,
) -> Parity:
    """What the manifest says of a package that answers as its owner's model does.

    package: of whatever session. graph: what its graph was compared with before. network: what the
    package was exported from.

    Raises ProofError if there is nothing to compare, and Disagreement if too few answers agree.
    """
    manifest = package.manifest
    check_worth(owner, manifest)
    tally = compare(owner, package, on_progress, network=network)
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
        allowances=_allowances(owner, tally, manifest),
        graph=graph,
    )


def check_network(
    owner: OwnerAnswers, network: ModelPackage, on_progress: OnProgress = ignore_progress
) -> None:
    """Raise ProofError, as `prove` does, unless ``network``, in PyTorch, answers as its owner's
    model does: with its pixels rounded to 8 bits or before."""
    check_worth(owner, network.manifest)
    tally = compare(owner, network, on_progress, read=read_unrounded)
    if agrees(owner, tally, TOLERANCES[network.manifest.task]):
        return
    rounded = compare(owner, network, on_progress)
    if not agrees(owner, rounded, TOLERANCES[network.manifest.task]):
        raise Disagreement(owner, network.manifest, tally)


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
    """Whether enough of the answers have a match, and not most of them an excuse. One that the
    network gives too before its pixels are rounded has been compared with that."""
    stated = sum(len(a) if isinstance(a, Detections) else 1 for a in owner.answers)
    detects = any(isinstance(a, Detections) for a in owner.answers)
    compared = tally.compared + tally.rounded / (2 if detects else 1)  # of either side
    enough = compared >= max(1, (1 - MOST_EXCUSED) * (stated - tally.beneath))
    return bool(tally.share >= tolerance.matched and enough)


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
    """As far as its answers show it: they have a lowest score, and the number of detections that
    they stop at is a usual limit, or that of two photos; the overlap is the package's default."""
    assert isinstance(manifest.defaults, DetectionDefaults)
    found = [answer for answer in owner.answers if isinstance(answer, Detections) and len(answer)]
    lowest = min((float(answer.scores[-1]) for answer in found), default=0.0)
    counts = Counter(map(len, found))
    most = max(counts, default=0)
    stops = most in LIMITS or (most >= LEAST_LIMIT and counts[most] > 1)
    limit = most if stops else MOST_DETECTIONS
    return Asked(max(lowest, LEAST_SCORE), limit, manifest.defaults.iou_threshold)


def compare(
    owner: OwnerAnswers,
    package: ModelPackage,
    on_progress: OnProgress = ignore_progress,
    excuses: bool = True,
    network: ModelPackage | None = None,
    read: ReadPhoto = read_photo,
) -> Tally:
    """Both sides' answers to each photo, matched; raises PhotoError naming one that cannot be
    read.

    excuses: whether the package is asked again for what suppression left out, where that may
    explain a difference. network: what it was exported from, asked where rounding may. read: makes
    a photo the package's input.
    """
    if package.manifest.task == "classification":
        return _compare_classes(owner, package, on_progress, network, read)
    return _compare_detections(owner, package, on_progress, excuses, network, read)


def _compare_classes(
    owner: OwnerAnswers,
    package: ModelPackage,
    on_progress: OnProgress,
    network: ModelPackage | None,
    read: ReadPhoto,
) -> Tally:
    tally = Tally()
    found = probabilities(package, owner.photos, on_progress, read)
    for photo, expected, actual in zip(owner.photos, owner.answers, found, strict=True):
        assert not isinstance(expected, Detections)
        difference, agree = _compare_shares(expected, actual)
        tally.score = max(tally.score, difference)
        tally.compared += agree
        unmatched = 0 if agree else 2  # an answer on either side
        if unmatched and network is not None:
            [unrounded] = probabilities(network, [photo], read=read_unrounded)
            if _compare_shares(expected, unrounded)[1]:
                tally.rounded, unmatched = tally.rounded + 1, 0
        tally.by_photo.append(unmatched)
    tally.unmatched = sum(tally.by_photo)
    return tally


def _compare_shares(expected: Probabilities, actual: Probabilities) -> tuple[float, bool]:
    """The greatest difference, and whether it is allowed, and the best class nearly the same."""
    allowed = TOLERANCES["classification"].score
    stated = ~np.isnan(expected)
    expected, actual = expected[stated], actual[stated]
    difference = float(np.abs(expected - actual).max())
    lead = float(expected.max() - expected[actual.argmax()])
    return difference, difference <= allowed and lead <= 2 * allowed


def _compare_detections(
    owner: OwnerAnswers,
    package: ModelPackage,
    on_progress: OnProgress,
    excuses: bool,
    network: ModelPackage | None,
    read: ReadPhoto,
) -> Tally:
    tally, tolerance, settings = Tally(), TOLERANCES["detection"], asked(owner, package.manifest)
    query = settings.score_threshold, settings.iou_threshold
    case = Case("", NO_IMAGES, "", *query, settings.max_detections)
    low = max(settings.score_threshold - tolerance.score, 0.0)
    rows = detections(package, owner.photos, low, case.iou_threshold, on_progress, read)
    for photo, stated, actual in zip(owner.photos, owner.answers, rows, strict=True):
        assert isinstance(stated, Detections)
        expected = stated.select(np.flatnonzero(stated.scores > LEAST_SCORE))
        tally.beneath += len(stated) - len(expected)

        def candidates(photo: Path = photo, actual: Detections = actual) -> Any:
            [found] = detections(package, [photo], low, 1.0, read=read)
            return actual, found

        known = candidates if excuses else None
        missing, extra = compare_sides(expected, actual, case, tolerance, tally, known)
        unmatched = len(missing) + len(extra)
        if unmatched and network is not None:
            [found] = detections(network, [photo], low, case.iou_threshold, read=read_unrounded)
            rounded = _count_rounded(missing, extra, found, tolerance)
            tally.rounded, tally.unmatched = tally.rounded + rounded, tally.unmatched - rounded
            unmatched -= rounded
        tally.by_photo.append(unmatched)
    return tally


def _count_rounded(
    missing: Detections, extra: Detections, unrounded: Detections, tolerance: Tolerance
) -> int:
    """How many of the owner's that the package is ``missing``, and of what it has ``extra``, the
    network has or has not before its pixels are rounded, as the owner's model."""
    criteria = Criteria(tolerance.iou, tolerance.score, border=1.0)
    has, lacks = (may_match(side, unrounded, criteria).any(axis=1) for side in (missing, extra))
    return int(has.sum() + (~lacks).sum())


def detections(
    package: ModelPackage,
    photos: Sequence[Path],
    score_threshold: float,
    iou_threshold: float,
    on_progress: OnProgress = ignore_progress,
    read: ReadPhoto = read_photo,
) -> list[Detections]:
    """What the package finds in each photo, in the photo's pixels and with the labels' ids."""
    query = DetectionQuery(
        np.float32(score_threshold), np.float32(iou_threshold), MOST_DETECTIONS, None
    )
    rows = PackageColumn(package, query, read).answer(photos, on_progress)
    return [Detections.from_rows(row) for row in rows]


def probabilities(
    package: ModelPackage,
    photos: Sequence[Path],
    on_progress: OnProgress = ignore_progress,
    read: ReadPhoto = read_photo,
) -> list[Probabilities]:
    """The package's for each photo [C], in the order of its labels."""
    labels = package.manifest.labels
    places = {label.id: place for place, label in enumerate(labels)}
    query = ClassificationQuery(len(labels))
    answers = PackageColumn(package, query, read).answer(photos, on_progress)
    return [_by_place(rows, places) for rows in answers]


def _by_place(rows: Sequence[Row], places: dict[int, int]) -> npt.NDArray[np.float64]:
    shares = np.zeros(len(places))
    for row in rows:
        shares[places[row["label_id"]]] = row["score"]
    return shares


def _allowances(
    owner: OwnerAnswers, tally: Tally, manifest: ModelManifest
) -> tuple[Allowance, ...]:
    tolerance = TOLERANCES[manifest.task]
    detects = manifest.task == "detection"
    boxes = f", boxes with an IoU of {tolerance.iou:g}" if detects else ""
    resize = Allowance(
        cause="resize: other code makes other pixels, and the package's are rounded to 8 bits",
        allowed=f"scores within {tolerance.score:g}{boxes}; beyond, where the network answers as"
        " yours before they are rounded",
        answers=tally.rounded,
    )
    if not detects:
        return (resize,)
    settings = asked(owner, manifest)
    return (
        resize,
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
