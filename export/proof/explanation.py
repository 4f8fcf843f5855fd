"""Where a package does not answer as its owner's model does: what would make it do so.

Classes are looked at first, which takes no run. Then the usual other settings are tried: each is a
network that is run as it is, without an export, on the photos that differ most; what makes their
answers agree is then tried on all photos.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from export.evaluation.column import ReadPhoto
from export.parity.comparison import Tally
from export.progress import SILENT, ProgressReporter
from export.proof.alternatives import Alternative
from export.proof.answers import OwnerAnswers
from export.proof.comparison import (
    TOLERANCES,
    agrees,
    asked,
    compare,
    counted,
    detections,
    probabilities,
)
from export.proof.pixels import read_unrounded
from service.imaging.files import read_size
from service.imaging.input_spec import ShorterSide
from service.manifest import Label, ModelManifest, Task
from service.matching import Criteria, Detections, match
from service.package import ModelPackage

PHOTOS = {"detection": 2, "classification": 4}  # that an alternative is tried on first
ENOUGH = 20  # detections in a photo, of which one will do
DETECTIONS = 60  # of these, the best of all
ROUNDS = 2  # of alternatives on top of the best before
SURE = 0.005  # difference of scores up to which another that agrees need not be looked for
LIKELY = 0.9  # share of these that agrees, for which all photos are worth their time
PROGRESS = 0.1  # of the share that agrees, for which a further round is worth its time
# After which no other alternative is begun. Of this thread's work, which on a machine with nothing
# else to do is the time that passes.
SECONDS = 300

Reopen = Callable[[Alternative], ModelPackage | None]  # None where there can be no such network
Size = tuple[int, int]


def explain(
    owner: OwnerAnswers,
    package: ModelPackage,
    found: Tally,
    reopen: Reopen,
    alternatives: Sequence[Alternative],
    progress: ProgressReporter = SILENT,
    seconds: float = SECONDS,
    read: ReadPhoto = read_unrounded,
) -> str:
    """What makes the answers agree, or explains most of their difference, in a sentence.

    found: by comparing all. alternatives: the likeliest first, those of one cause one after the
    other. seconds: how long to look for one. read: makes a photo an input.
    """
    few = _telling(owner, found, package.manifest.task)
    detects = package.manifest.task == "detection"
    said = explain_classes(few if detects else owner, package, read)
    if said is not None:
        return said
    search = _Search(owner, few, package, reopen, read, progress, time.thread_time() + seconds)
    agreeing = search.run(alternatives)
    if agreeing is not None:
        return agreeing
    manifest, best = package.manifest, search.best
    causes = list(dict.fromkeys(alternative.cause for alternative in alternatives))
    late = f", of those tried in {seconds / 60:.2g} minutes" if search.is_late else ""
    if search.reached[0] - search.start[0] < PROGRESS:
        hint = _hint(few, package, read) if "anchors" in causes else ""
        return f"none of the usual alternatives of {', '.join(causes)} explains it{late}{hint}"
    opened = reopen(best)
    whole = Tally() if opened is None else compare(owner, opened, read=read)
    return f"{best.cause} explains most of it{late}: {best} {_agreeing(manifest, whole)}"


class _Search:
    """best: what comes nearest so far, and ``reached`` how near."""

    def __init__(
        self,
        owner: OwnerAnswers,
        few: OwnerAnswers,
        package: ModelPackage,
        reopen: Reopen,
        read: ReadPhoto,
        progress: ProgressReporter,
        deadline: float,
    ) -> None:
        self._owner, self._few = owner, few
        self._reopen, self._read, self._progress = reopen, read, progress
        self._manifest, self._deadline = package.manifest, deadline
        self._sizes = [read_size(photo) for photo in few.photos]
        self._tried: set[Hashable] = set()
        self._near: tuple[float, str] | None = None  # how nearly the nearest that agrees does so
        self.best = Alternative("")
        self.start = self.reached = _rank(self._compare_few(package))

    @property
    def is_late(self) -> bool:
        return time.thread_time() > self._deadline

    def run(self, alternatives: Sequence[Alternative]) -> str | None:
        """The alternative that makes all answers agree, with how many do."""
        for _ in range(ROUNDS):
            base, before = self.best, self.reached
            for cause in dict.fromkeys(a.cause for a in alternatives if a.cause not in base.cause):
                beside = f" {base}" if base.cause else ""
                self._progress.step(f"trying the usual alternatives of {cause}{beside}")
                of_cause = [a for a in alternatives if a.cause == cause]
                for done, alternative in enumerate(of_cause):
                    self._progress.update(done, len(of_cause))
                    if self.is_late:
                        return self._nearest()
                    if (agreeing := self._try(alternative.over(base))) is not None:
                        return agreeing
            if self._near is not None or self.reached[0] - before[0] < PROGRESS:
                break
        return self._nearest()

    def _nearest(self) -> str | None:
        return None if self._near is None else self._near[1]

    def _try(self, alternative: Alternative) -> str | None:
        opened = self._reopen(alternative)
        if opened is None or (reads := _reads(alternative, opened, self._sizes)) in self._tried:
            return None
        self._tried.add(reads)
        tally = self._compare_few(opened)
        if tally.share >= LIKELY:
            whole = compare(self._owner, opened, read=self._read)
            if agrees(self._owner, whole, TOLERANCES[self._manifest.task]):
                said = f"{alternative.cause}: {alternative} {_agreeing(self._manifest, whole)}"
                if whole.score <= SURE:
                    return said
                if self._near is None or whole.score < self._near[0]:
                    self._near = whole.score, said
        if _rank(tally) > self.reached:
            self.best, self.reached = alternative, _rank(tally)
        return None

    def _compare_few(self, package: ModelPackage) -> Tally:
        return compare(self._few, package, excuses=False, read=self._read)


def _reads(alternative: Alternative, opened: ModelPackage, sizes: Sequence[Size]) -> Hashable:
    """What its network reads of photos of these ``sizes``: limits that none of them reaches make
    no difference."""
    spec = opened.manifest.input
    if not isinstance(spec, ShorterSide):
        return alternative
    scales = tuple(
        min(spec.shorter_side / min(size), spec.longer_side / max(size)) for size in sizes
    )
    rest = replace(alternative.settings, shorter_side=None, longer_side=None)
    return alternative.architecture, rest, scales


def _rank(tally: Tally) -> tuple[float, float]:
    """The share that agrees, and of equal ones the lesser difference."""
    return tally.share, -tally.score


def _agreeing(manifest: ModelManifest, tally: Tally) -> str:
    if tally.unmatched:
        return counted(manifest, tally)
    number = tally.compared
    return f"all {number} agree"


def _telling(owner: OwnerAnswers, found: Tally, task: Task) -> OwnerAnswers:
    """What is tried first: the photos with most unmatched answers, and of a detector's the best."""
    unmatched = np.array(found.by_photo)
    if task == "detection":  # where the owner finds nothing, whatever finds nothing would agree
        unmatched = np.minimum(unmatched, [len(answer) for answer in owner.answers])
    places = np.argsort(-unmatched, kind="stable").tolist()
    enough = task == "detection" and len(owner.answers[places[0]]) >= ENOUGH
    few = owner.only(places[: 1 if enough else PHOTOS[task]])
    stated = [answer for answer in few.answers if isinstance(answer, Detections)]
    if not any(map(len, stated)):  # a classifier's, or nothing where the package finds much
        return few
    scores = np.sort(np.concatenate([answer.scores for answer in stated]))[::-1]
    least = scores[min(DETECTIONS, len(scores)) - 1]
    best = tuple(answer.select(np.flatnonzero(answer.scores >= least)) for answer in stated)
    return replace(few, answers=best)


def _hint(owner: OwnerAnswers, package: ModelPackage, read: ReadPhoto) -> str:
    """What a difference of a detector that nothing explains is likely to be a matter of."""
    settings = asked(owner, package.manifest)
    query = settings.score_threshold, settings.iou_threshold
    found = detections(package, owner.photos, *query, read=read)
    both = [
        (float(stated.scores[0]), float(actual.scores[0]))
        for stated, actual in zip(owner.answers, found, strict=True)
        if isinstance(stated, Detections) and len(stated) and len(actual)
    ]
    if not both or any(abs(a - b) > TOLERANCES["detection"].score for a, b in both):
        return ""
    return (
        "; the best scores are the same and their boxes are not, so it is in the anchors or the"
        " box coder: say yours with --anchor-sizes, --aspect-ratios or box_weights"
    )


def explain_classes(
    owner: OwnerAnswers, package: ModelPackage, read: ReadPhoto = read_unrounded
) -> str | None:
    """Which classes stand for which others, if nothing else differs."""
    manifest = package.manifest
    pairs = Counter(
        _matched_labels(owner, package, read)
        if manifest.task == "detection"
        else _ranked_labels(owner, package, read)
    )
    if not pairs:
        return None
    meant: dict[int, int] = {}
    for (theirs, ours), _ in pairs.most_common():
        meant.setdefault(theirs, ours)
    consistent = sum(count for (a, b), count in pairs.items() if meant[a] == b)
    if consistent < 0.9 * pairs.total() or all(a == b for a, b in meant.items()):
        return None
    offsets = {theirs - ours for theirs, ours in meant.items()}
    if len(offsets) == 1 and manifest.task == "detection":
        [offset] = offsets
        return (
            f"classes: your labels are the package's {offset:+d}; return them as names, or"
            f" {'less' if offset > 0 else 'plus'} {abs(offset)} (a background that is counted?)"
        )
    theirs, ours = next((a, b) for a, b in meant.items() if a != b)
    return (
        f"classes: what you call {_name(theirs, manifest.labels)} is the package's"
        f" {_name(ours, manifest.labels)}; give --labels in the order of the network's outputs"
    )


def _name(number: int, labels: Sequence[Label]) -> str:
    return next((repr(label.name) for label in labels if label.id == number), str(number))


def _matched_labels(
    owner: OwnerAnswers, package: ModelPackage, read: ReadPhoto
) -> Iterator[tuple[int, int]]:
    """The labels of boxes that belong together but for them, where most do."""
    tolerance, settings = TOLERANCES["detection"], asked(owner, package.manifest)
    query = settings.score_threshold, settings.iou_threshold
    found = detections(package, owner.photos, *query, read=read)
    pairs: list[tuple[int, int]] = []
    total = 0
    for stated, actual in zip(owner.answers, found, strict=True):
        assert isinstance(stated, Detections)
        expected = stated.select(np.flatnonzero(stated.scores > settings.score_threshold))
        total += len(expected)
        blind = [replace(one, labels=np.zeros_like(one.labels)) for one in (expected, actual)]
        criteria = Criteria(tolerance.iou, tolerance.score, border=1.0)
        for i, j, _ in match(blind[0], blind[1], criteria):
            pairs.append((int(expected.labels[i]), int(actual.labels[j])))
    return iter(pairs if len(pairs) >= 0.8 * total else ())


def _ranked_labels(
    owner: OwnerAnswers, package: ModelPackage, read: ReadPhoto
) -> Iterator[tuple[int, int]]:
    """The labels that have the same probabilities on either side, if all have some such."""
    ids = [label.id for label in package.manifest.labels]
    pairs: list[tuple[int, int]] = []
    found = probabilities(package, owner.photos, read=read)
    for stated, actual in zip(owner.answers, found, strict=True):
        assert not isinstance(stated, Detections)
        if np.isnan(stated).any():
            return iter(())
        first, second = np.argsort(-stated), np.argsort(-actual)
        gaps = np.abs(stated[first] - actual[second])
        if gaps.max() > TOLERANCES["classification"].score:
            return iter(())
        pairs.append((ids[first[0]], ids[second[0]]))
    return iter(pairs)
