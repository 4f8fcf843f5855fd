"""Where a package does not answer as its owner's model does: the usual other settings, tried.

Each is a network that is run as it is, without an export, on the few photos that show most; what
makes all answers agree is then tried on all photos.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.parity.comparison import Tally
from export.progress import SILENT, ProgressReporter
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
from export.settings import NONE_STATED, Interpolation, Settings
from models.anchors import (
    AnchorSettings,
    efficientdet_anchors,
    fpn_anchors,
    retinanet_anchors,
)
from service.imaging.input_spec import CentreCrop, InputSpec, Letterbox, ShorterSide
from service.manifest import Label, ModelManifest
from service.matching import Criteria, Detections, match
from service.package import ModelPackage

PHOTOS = {"detection": 2, "classification": 12}  # that an alternative is tried on first
DETECTIONS = 60  # of these, the best of all
ROUNDS = 2  # of alternatives on top of the best before
LIKELY = 0.9  # share of these that agrees, for which all photos are worth their time
PROGRESS = 0.1  # of the share that agrees, for which a further round is worth its time

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ZERO, ONE, HALF = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)
NORMALISATIONS: tuple[Settings, ...] = tuple(
    Settings(mean=mean, std=std)
    for mean, std in (
        IMAGENET,
        (ZERO, ONE),
        (HALF, HALF),
        (IMAGENET[0], ONE),
        (ZERO, IMAGENET[1]),
        ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),  # CLIP's
    )
)
RAW = Settings(mean=ZERO, std=ONE, scale=1.0)
CAFFE = Settings(mean=(103.53, 116.28, 123.675), std=ONE, scale=1.0, channel_order="bgr")
CROPPED = (0.875, 0.95, 1.0, 0.9, 0.96)  # of the shorter side, by timm's models; 224 of 232 too
SHORTER_SIDES = (800, 640, 600, 512, 480, 1024)
LONGER_SIDES = (1333, 1000, 1024, 800, 640, 1280, 1600, 2000)
BASES = (16, 24, 8, 64, 48, 20, 128)  # of torchvision's kind of anchors, beside 32
SCALES = (4.0, 3.0, 2.0, 5.0, 1.0)  # of EfficientDet's
RATIOS: tuple[tuple[float, ...], ...] = (
    (0.33, 1.0, 3.0),
    (1 / 3, 1.0, 3.0),
    (0.25, 1.0, 4.0),
    (0.5, 1.0, 1.5),
    (0.75, 1.0, 1.5),
    (0.2, 0.5, 1.0),
)
PROPOSALS: tuple[Settings, ...] = (
    *(Settings(proposals=n, proposal_candidates=n) for n in (2000, 500, 300, 100)),
    *(Settings(proposals=n) for n in (2000, 500, 300, 256, 100, 50)),
    *(Settings(proposal_iou_threshold=overlap) for overlap in (0.5, 0.6, 0.8, 0.9)),
)
OVERLAPS = (0.3, 0.4, 0.45, 0.6, 0.65, 0.7, 0.5)


@dataclass(frozen=True)
class Alternative:
    """Other settings, or another architecture, and what they are a matter of."""

    cause: str
    settings: Settings = NONE_STATED
    architecture: str | None = None

    def over(self, other: "Alternative") -> "Alternative":
        cause = f"{other.cause} and {self.cause}" if other.cause else self.cause
        return Alternative(
            cause, self.settings.over(other.settings), self.architecture or other.architecture
        )

    def __str__(self) -> str:
        named = [f"as {self.architecture}"] if self.architecture else []
        options = str(self.settings)
        return " ".join([*named, *([f"with {options}"] if options else [])])


Reopen = Callable[[Alternative], ModelPackage | None]  # None where there can be no such network


def explain(
    owner: OwnerAnswers,
    package: ModelPackage,
    reopen: Reopen,
    alternatives: Sequence[Alternative],
    progress: ProgressReporter = SILENT,
) -> str:
    """What makes the answers agree, or explains most of their difference, in a sentence."""
    said = explain_classes(owner, package)
    if said is not None:
        return said
    manifest = package.manifest
    few = _telling(owner, manifest)
    best, reached = Alternative(""), _rank(compare(few, package, excuses=False))
    start = reached
    for _ in range(ROUNDS):
        base, before = best, reached
        progress.step("trying the usual alternatives")
        for done, alternative in enumerate(alternatives):
            progress.update(done, len(alternatives))
            tried = alternative.over(base)
            opened = None if alternative.cause in base.cause else reopen(tried)
            if opened is None:
                continue
            tally = compare(few, opened, excuses=False)
            if tally.share >= LIKELY:
                whole = compare(owner, opened)
                if agrees(owner, whole, TOLERANCES[manifest.task]):
                    return f"{tried.cause}: {tried} {_agreeing(manifest, whole)}"
            if _rank(tally) > reached:
                best, reached = tried, _rank(tally)
        if reached[0] - before[0] < PROGRESS:
            break
    if reached[0] - start[0] < PROGRESS:
        causes = ", ".join(dict.fromkeys(alternative.cause for alternative in alternatives))
        return f"none of the usual alternatives of {causes} explains it"
    whole = compare(owner, opened) if (opened := reopen(best)) is not None else Tally()
    return f"{best.cause} explains most of it: {best} {_agreeing(manifest, whole)}"


def _rank(tally: Tally) -> tuple[float, float]:
    """The share that agrees, and of equal ones the lesser difference."""
    return tally.share, -tally.score


def _agreeing(manifest: ModelManifest, tally: Tally) -> str:
    if tally.unmatched:
        return counted(manifest, tally)
    number = tally.compared
    return f"all {number} agree"


def _telling(owner: OwnerAnswers, manifest: ModelManifest) -> OwnerAnswers:
    """What is tried first: the best of the photos with most detections, or some photos of a
    classifier's."""
    number, places = PHOTOS[manifest.task], list(range(len(owner.photos)))
    if manifest.task == "classification":
        return owner.only(places[:number])
    places.sort(key=lambda i: -len(owner.answers[i]))
    few = owner.only(places[:number])
    found = [answer for answer in few.answers if isinstance(answer, Detections)]
    scores = np.sort(np.concatenate([answer.scores for answer in found]))[::-1]
    least = scores[min(DETECTIONS, len(scores)) - 1]
    best = tuple(answer.select(np.flatnonzero(answer.scores >= least)) for answer in found)
    return replace(few, answers=best)


def explain_classes(owner: OwnerAnswers, package: ModelPackage) -> str | None:
    """Which classes stand for which others, if nothing else differs."""
    manifest = package.manifest
    pairs = Counter(
        _matched_labels(owner, package)
        if manifest.task == "detection"
        else _ranked_labels(owner, package)
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


def _matched_labels(owner: OwnerAnswers, package: ModelPackage) -> Iterator[tuple[int, int]]:
    """The labels of boxes that belong together but for them, where most do."""
    tolerance, settings = TOLERANCES["detection"], asked(owner, package.manifest)
    found = detections(package, owner.photos, settings.score_threshold, settings.iou_threshold)
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


def _ranked_labels(owner: OwnerAnswers, package: ModelPackage) -> Iterator[tuple[int, int]]:
    """The labels that have the same probabilities on either side, if all have some such."""
    ids = [label.id for label in package.manifest.labels]
    pairs: list[tuple[int, int]] = []
    for stated, actual in zip(owner.answers, probabilities(package, owner.photos), strict=True):
        assert not isinstance(stated, Detections)
        if np.isnan(stated).any():
            return iter(())
        first, second = np.argsort(-stated), np.argsort(-actual)
        gaps = np.abs(stated[first] - actual[second])
        if gaps.max() > TOLERANCES["classification"].score:
            return iter(())
        pairs.append((ids[first[0]], ids[second[0]]))
    return iter(pairs)


def usual(
    manifest: ModelManifest,
    anchors: AnchorSettings | None = None,
    architectures: Sequence[str] = (),
    proposes: bool = False,
) -> list[Alternative]:
    """What is worth trying for a model, the cheapest and likeliest first.

    anchors: a detector's. architectures: others that the same weights fit. proposes: whether it
    has two stages.
    """
    found = [Alternative("architecture", architecture=name) for name in architectures]
    if manifest.task == "classification":
        other = "softmax" if manifest.activation == "sigmoid" else "sigmoid"
        found.append(Alternative("activation", to_activation(other)))
    found += [Alternative("normalisation", s) for s in _normalisations()]
    if anchors is not None:
        found += [Alternative("anchors", s) for s in _anchors(anchors)]
    if proposes:
        found += [Alternative("region proposals", s) for s in PROPOSALS]
    if manifest.task == "detection":
        found += [Alternative("suppression", Settings(iou_threshold=o)) for o in OVERLAPS]
    found += [Alternative("resize", s) for s in _resizes(manifest.input)]
    return found


def to_activation(name: str) -> Settings:
    return Settings(activation="sigmoid" if name == "sigmoid" else "softmax")


def _normalisations() -> Iterator[Settings]:
    yield from NORMALISATIONS
    yield RAW
    yield CAFFE
    for settings in (*NORMALISATIONS[:3], RAW):
        yield replace(settings, channel_order="bgr")


def _anchors(anchors: AnchorSettings) -> Iterator[Settings]:
    """Other sizes and ratios of as many anchors at each cell."""
    per_level, levels = len(anchors.sizes[0]), len(anchors.sizes)
    if not anchors.rounded:
        for scale in SCALES:
            yield Settings(anchor_sizes=efficientdet_anchors(scale, levels).sizes)
    else:
        made = retinanet_anchors if per_level == 3 else fpn_anchors
        for base in BASES:
            yield Settings(anchor_sizes=made(base).sizes)
    if len(anchors.ratios) == 3:
        for ratios in RATIOS:
            yield Settings(aspect_ratios=ratios)


def _resizes(spec: InputSpec) -> Iterator[Settings]:
    if isinstance(spec, ShorterSide):
        for shorter in dict.fromkeys((spec.shorter_side, *SHORTER_SIDES)):
            # as they are, and in proportion for a shorter side that is not theirs
            scaled = (round(longer * shorter / SHORTER_SIDES[0]) for longer in LONGER_SIDES)
            for longer in dict.fromkeys((*scaled, *LONGER_SIDES)):
                if longer >= shorter:
                    yield Settings(shorter_side=shorter, longer_side=longer)
        yield Settings(antialias=not spec.antialias)
        return
    interpolations: tuple[Interpolation, ...] = ("bilinear", "bicubic")
    for interpolation in interpolations:
        yield Settings(interpolation=interpolation)
        if isinstance(spec, CentreCrop):
            for size, shorter in _crops(spec.height):
                yield Settings(
                    resize="centre_crop",
                    input_size=size,
                    shorter_side=shorter,
                    interpolation=interpolation,
                )
        yield Settings(resize="stretch", interpolation=interpolation)
        yield Settings(resize="letterbox", interpolation=interpolation)
    if isinstance(spec, Letterbox):
        yield Settings(anchor="centre")
        yield Settings(antialias=not spec.antialias, interpolation="bilinear")
        for fill in ((0, 0, 0), (114, 114, 114), (128, 128, 128), (124, 116, 104)):
            yield Settings(fill=fill)


def _crops(side: int) -> Iterator[tuple[int, int]]:
    """Sides of a crop, and of the photo's shorter side before it, of published classifiers."""
    if side == 224:
        yield side, 232  # torchvision's second weights
    for size in dict.fromkeys((side, 256, 288)):
        for share in CROPPED:
            yield size, math.floor(size / share)
