"""Serving a detector."""

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.imaging.placement import Placement
from service.imaging.proposals import NoProposals, check_proposals, propose
from service.imaging.regions import clip
from service.imaging.resize import Box, ModelInput
from service.inference.task import Row
from service.manifest import CONTOURS, REGIONS, DetectionDefaults, DetectionManifest
from service.package import GraphRunner
from service.parameters import DetectParameters
from service.problems import Problem, quoted

# As many as any graph can give: it returns no more rows than it has candidates.
ALL_DETECTIONS = 2**31 - 1
# Rows that are asked for, as a multiple of the detections that are: some are of other labels, or
# lie beside the photo. All of them would be thousands where the score threshold is low.
SPARE_DETECTIONS = 2
BOX_DECIMALS = 3  # of a pixel
CONTOUR_DECIMALS = 1  # of a pixel, at each of many vertices
SCORE_DECIMALS = 6


@dataclass(frozen=True)
class DetectionQuery:
    """What a request asks of a detector.

    kept: label indices to keep, None for all.
    class_agnostic: whether boxes suppress those of other labels too.
    regions: where to look, xyxy in the photo's pixels, of a model that reads regions; None for what
        `propose` gives.
    contours: whether rows have outlines, of a model that finds them.
    """

    score_threshold: np.float32
    iou_threshold: np.float32
    max_detections: int
    kept: frozenset[int] | None
    class_agnostic: bool = False
    regions: tuple[Box, ...] | None = None
    contours: bool = False


@dataclass(frozen=True)
class Detections:
    """One image's: boxes float [D, 4] xyxy, scores [D] descending, labels [D], and contours
    [D, V, 2] where these are asked for."""

    boxes: npt.NDArray[np.floating[Any]]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    contours: npt.NDArray[np.floating[Any]] | None = None

    def select(self, query: DetectionQuery, placement: Placement) -> "Detections":
        """Those that ``query`` asks for, in the pixels of the photo that lies at ``placement``.

        Greedy suppression works from the best score downwards, so dropping low scores after it
        gives what a run with the higher threshold would have given. What was found beside the
        photo, in the part of the input that it leaves empty, is nothing, and takes no place.
        """
        boxes = placement.undo(self.boxes).astype(np.float64).round(BOX_DECIMALS)
        wanted = (self.scores > query.score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if query.kept is not None:
            wanted &= np.isin(self.labels, list(query.kept))
        index = np.flatnonzero(wanted)[: query.max_detections]
        contours = None
        if self.contours is not None:
            contours = placement.undo(self.contours[index]).astype(np.float64)
        return Detections(boxes[index], self.scores[index], self.labels[index], contours)


class Detector:
    """Runs a detector's graph on images of any thresholds; what decides which box suppresses which
    divides them into groups, and the input's size where it varies."""

    rows_name = "detections"

    def __init__(self, package: GraphRunner[DetectionManifest]) -> None:
        self._package, self.manifest = package, package.manifest
        self._indices = {_composed(label.name): i for i, label in enumerate(self.manifest.labels)}

    def to_query(self, parameters: DetectParameters) -> DetectionQuery:
        chosen = {
            field: value
            for field in DetectionDefaults.model_fields
            if (value := getattr(parameters, field)) is not None
        }
        merged = self.manifest.defaults.model_copy(update=chosen)
        return DetectionQuery(
            np.float32(merged.score_threshold),
            np.float32(merged.iou_threshold),
            merged.max_detections,
            self._to_indices(parameters.labels),
            bool(parameters.class_agnostic),
            self._to_regions(parameters.regions),
            self._to_contours(parameters.contours),
        )

    def group(self, image: ModelInput, query: DetectionQuery) -> Hashable:
        for box in query.regions or ():
            clip(box, (image.placement.width, image.placement.height))
        return query.iou_threshold, query.class_agnostic, image.pixels.shape

    def run(
        self,
        images: Sequence[ModelInput],
        queries: Sequence[DetectionQuery],
        *,
        alone: bool = False,
    ) -> list[list[Row]]:
        limit = SPARE_DETECTIONS * max(query.max_detections for query in queries)
        selected, cut = self._select(images, queries, limit, alone=alone)
        if cut:
            selected, _ = self._select(images, queries, ALL_DETECTIONS, alone=alone)
        return [self._to_rows(detections) for detections in selected]

    def _select(
        self,
        images: Sequence[ModelInput],
        queries: Sequence[DetectionQuery],
        limit: int,
        *,
        alone: bool,
    ) -> tuple[list[Detections], bool]:
        """Each image's detections of the first ``limit`` rows, and whether these were too few."""
        # what the strictest needs is in what the loosest gets
        feeds: dict[str, npt.NDArray[Any]] = {
            "images": np.stack([image.pixels for image in images]),
            "score_threshold": np.array(min(q.score_threshold for q in queries)),
            "iou_threshold": np.array(queries[0].iou_threshold),
            "max_detections": np.array(limit, dtype=np.int64),
            "class_agnostic": np.array(queries[0].class_agnostic),
        }
        if self.manifest.reads_regions:
            feeds[REGIONS] = filled_up(list(map(regions_of, images, queries)))
        outputs = self._package.run(feeds, alone=alone)
        selected, cut = [], False
        for i, (image, query) in enumerate(zip(images, queries, strict=True)):
            number = outputs["num_detections"][i]
            names = ("boxes", "scores", "labels", *((CONTOURS,) if query.contours else ()))
            rows = (outputs[name][i, :number] for name in names)
            found = Detections(*rows).select(query, image.placement)
            selected.append(found)
            cut |= number == limit and len(found.scores) < query.max_detections
        return selected, bool(cut)

    def _to_rows(self, detections: Detections) -> list[Row]:
        scores = detections.scores.astype(np.float64).round(SCORE_DECIMALS)
        labels = [self.manifest.labels[i] for i in detections.labels]
        rows: list[Row] = [
            {"box": box, "score": score, "label": label.name, "label_id": label.id}
            for box, score, label in zip(
                detections.boxes.tolist(), scores.tolist(), labels, strict=True
            )
        ]
        if detections.contours is not None:
            contours = detections.contours.round(CONTOUR_DECIMALS)
            for row, contour in zip(rows, contours, strict=True):
                if np.ptp(contour, axis=0).all():  # past those that the graph outlines it has none
                    row["contour"] = contour.tolist()
        return rows

    def _to_contours(self, asked: bool | None) -> bool:
        if asked and not self.manifest.has_contours:
            raise Problem(
                "invalid_parameter",
                f"contours: {self.manifest.name} finds boxes alone; leave it out, or name a model"
                " that finds outlines.",
            )
        return self.manifest.has_contours and asked is not False

    def _to_regions(self, boxes: list[list[float]] | None) -> tuple[Box, ...] | None:
        if boxes is None:
            if self.manifest.reads_regions:
                _require_proposals()
            return None
        if not self.manifest.reads_regions:
            raise Problem(
                "invalid_parameter",
                f"regions: {self.manifest.name} looks everywhere; leave them out, or name a model"
                " that must be told where to look.",
            )
        if any(len(box) != 4 for box in boxes):
            raise Problem(
                "invalid_parameter",
                "regions: those of detect are of every image; leave the image's place out, or send"
                " the images one by one.",
            )
        return tuple((left, top, right, bottom) for left, top, right, bottom in boxes)

    def _to_indices(self, names: list[str] | None) -> frozenset[int] | None:
        if names is None:
            return None
        unknown = [name for name in names if _composed(name) not in self._indices]
        if unknown:
            raise Problem(
                "invalid_parameter",
                f"labels: {self.manifest.name} has no label {quoted(unknown[0])};"
                f" GET /v1/models/{self.manifest.name} lists them.",
            )
        return frozenset(self._indices[_composed(name)] for name in names)


def regions_of(image: ModelInput, query: DetectionQuery) -> npt.NDArray[np.float32]:
    """Where ``query`` has a model look, or what `propose` gives: boxes [R, 4] on its input.

    Raises Problem where a region lies outside, or nothing proposes any: see `Detector.group`, and
    `Detector.to_query`, which do so before an image is run together with others.
    """
    place = image.placement
    if query.regions is not None:
        boxes = [clip(box, (place.width, place.height)) for box in query.regions]
        return place.apply(np.array(boxes, dtype=np.float32))
    left, top = max(0, place.left), max(0, place.top)
    right = round(place.left + place.width * place.scale_x)
    bottom = round(place.top + place.height * place.scale_y)
    _require_proposals()
    found = propose(image.pixels[top:bottom, left:right])
    return found + np.array([left, top] * 2, dtype=np.float32)


def _require_proposals() -> None:
    try:
        check_proposals()
    except NoProposals as error:
        raise Problem("invalid_parameter", f"regions: none are given, and {error}.") from None


def filled_up(regions: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Each image's boxes [R, 4] as one batch [N, most, 4]; what is empty is no region."""
    batch = np.zeros((len(regions), max(1, *map(len, regions)), 4), dtype=np.float32)
    for row, boxes in zip(batch, regions, strict=True):
        row[: len(boxes)] = boxes
    return batch


def _composed(name: str) -> str:
    """``name`` in Unicode's form NFC: macOS takes letters and their accents apart in the names of
    files and folders, and so of labels, which a keyboard writes as one."""
    return unicodedata.normalize("NFC", name)
