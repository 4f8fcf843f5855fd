"""The usual other settings of a model, of which one may be its owner's."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from export.settings import NONE_STATED, Interpolation, Settings
from models.anchors import (
    AnchorSettings,
    efficientdet_anchors,
    fpn_anchors,
    retinanet_anchors,
)
from service.imaging.input_spec import CentreCrop, InputSpec, Letterbox, ShorterSide
from service.manifest import ModelManifest

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
CROPPED = (
    0.875,
    0.95,
    1.0,
    0.9,
    0.96,
    0.965,
    0.8,
    0.85,
    0.92,
    0.94,
)  # of the shorter side, by timm's models; 224 of 232 too
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
    *(Settings(proposal_candidates=n) for n in (2000, 500, 300, 200, 100, 50, 6000)),
    *(Settings(proposal_iou_threshold=overlap) for overlap in (0.5, 0.6, 0.8, 0.9)),
)
BOX_WEIGHTS = ((1.0, 1.0), (10.0, 5.0), (10.0, 10.0), (5.0, 5.0), (10.0, 2.5))
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
    if anchors is not None:
        found += [Alternative("box coder", Settings(box_weights=pair)) for pair in BOX_WEIGHTS]
    found += [Alternative("resize", s) for s in _resizes(manifest.input)]
    return found


def to_activation(name: str) -> Settings:
    return Settings(activation="sigmoid" if name == "sigmoid" else "softmax")


def _normalisations() -> Iterator[Settings]:
    yield from NORMALISATIONS
    yield RAW
    yield CAFFE
    yield Settings(channel_order="bgr")
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
        yield Settings(antialias=not spec.antialias)
        for shorter in dict.fromkeys((spec.shorter_side, *SHORTER_SIDES)):
            # as they are, and in proportion for a shorter side that is not theirs
            scaled = (round(longer * shorter / SHORTER_SIDES[0]) for longer in LONGER_SIDES)
            for longer in dict.fromkeys((*scaled, *LONGER_SIDES)):
                if longer >= shorter:
                    yield Settings(shorter_side=shorter, longer_side=longer)
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
    yield Settings(resize="stretch", interpolation="bilinear", antialias=False)  # OpenCV's
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
