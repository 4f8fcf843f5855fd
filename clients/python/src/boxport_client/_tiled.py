"""Detection in a photo far larger than the model's input, tile by tile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote

from PIL import Image

from boxport_client._boxes import Box
from boxport_client._detections import Detection
from boxport_client._errors import InvalidRequest
from boxport_client._model_info import ModelInfo
from boxport_client._parameters import DetectParameters
from boxport_client._photos import Photo, to_picture
from boxport_client._replies import ImageRefused
from boxport_client._requester import Body, Call, Requester
from boxport_client._results import DetectionResult
from boxport_client._shrinking import fit, rescaled, to_compact
from boxport_client._steps import RequestFlow, Work
from boxport_client._tiling import merge, tiles

TILES_PER_REQUEST = 8  # enough for the service to batch them, few enough for its limits
TOO_MUCH = frozenset({"too_many_images", "body_too_large"})
# The view of the whole photo is for its large objects, which are still large in so many pixels.
WHOLE_SIDE = 1280


@dataclass(frozen=True)
class View:
    """A part of the photo: its box there, and the image file of it, of (width, height) ``sent``."""

    box: Box
    content: bytes
    sent: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        return round(self.box.width), round(self.box.height)


class TiledDetector:
    """Detects by tiles through ``requester``; remembers the thresholds of the models it met."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._defaults: dict[str, Mapping[str, Any]] = {}  # by the models' SHA-256

    def detect(
        self, call: Call, photo: Photo, parameters: DetectParameters
    ) -> RequestFlow[DetectionResult]:
        """The objects of all tiles and of the whole photo, each once; see `Client.detect`.

        ``timing_ms`` is the sum over all requests.
        """
        tile = parameters.tile or WHOLE_SIDE
        picture, size = yield Work(lambda: _open(photo, parameters.max_side))
        boxes = tiles(picture.size, tile, parameters.overlap)
        found: list[tuple[Box, Sequence[Detection]]] = []
        answers: list[DetectionResult] = []
        count, begin = TILES_PER_REQUEST, 0
        while begin < len(boxes):
            part = boxes[begin : begin + count]
            views = yield Work(partial(_cut, picture, part, max(WHOLE_SIDE, tile)))
            try:
                results = yield from self._ask(call, views, parameters)
            except InvalidRequest as error:
                if error.code not in TOO_MUCH or count == 1:
                    raise
                count //= 2  # the operator allows less
                continue
            for view, result in zip(views, results, strict=True):
                found.append((view.box, rescaled(result.detections, view.sent, view.size)))
            answers.append(results[0])
            begin += len(views)
            # a version that is loaded meanwhile must not answer for half of the photo
            parameters = replace(parameters, model=str(results[0].model))
            if results[0].then is not None:
                parameters = replace(parameters, then=str(results[0].then))
        thresholds = yield from self._thresholds(call, parameters, answers[0])
        detections = yield Work(lambda: merge(found, picture.size, **thresholds))
        return replace(
            answers[0],
            width=size[0],
            height=size[1],
            detections=rescaled(detections, picture.size, size),
            timing_ms=_summed([answer.timing_ms for answer in answers]),
        )

    def _ask(
        self, call: Call, views: list[View], parameters: DetectParameters
    ) -> RequestFlow[list[DetectionResult]]:
        """The answers on ``views``, which go in one request; in another, those that are refused."""
        found: dict[int, DetectionResult] = {}  # by the view's place

        def missing() -> list[int]:
            return [place for place in range(len(views)) if place not in found]

        def body() -> Body:
            names = ((views[place].content, "application/octet-stream") for place in missing())
            return {"files": [("images", ("tile", *part)) for part in names]}

        def read(answer: Mapping[str, Any]) -> list[DetectionResult]:
            asked, images = missing(), answer["results"]
            if len(images) != len(asked):
                raise ValueError(f"{len(images)} results of {len(asked)} images")
            refused = [image["error"] for image in images if "error" in image]
            for place, image in zip(asked, images, strict=True):
                if "error" not in image:
                    found[place] = DetectionResult.from_answer({**answer, "results": [image]})
            if refused:  # those that no other try would answer first
                raise ImageRefused(min(refused, key=lambda error: bool(error["retryable"])))
            return [found[place] for place in range(len(views))]

        return self._requester.post(call, "/v1/detect", parameters.query, body, read)

    def _thresholds(
        self, call: Call, parameters: DetectParameters, answer: DetectionResult
    ) -> RequestFlow[dict[str, Any]]:
        """What the tiles' detections are merged by: as given, else the model's defaults."""
        thresholds: dict[str, Any] = {
            "iou_threshold": parameters.iou_threshold,
            "max_detections": parameters.max_detections,
        }
        if None in thresholds.values():
            defaults = self._defaults.get(answer.model.sha256)
            if defaults is None:
                path = f"/v1/models/{quote(str(answer.model))}"
                model = yield from self._requester.get(call, path, ModelInfo.from_json)
                defaults = self._defaults[answer.model.sha256] = model.manifest["defaults"]
            for name, value in thresholds.items():
                thresholds[name] = defaults[name] if value is None else value
        return {**thresholds, "class_agnostic": bool(parameters.class_agnostic)}


def _open(photo: Photo, max_side: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """The photo, upright, with neither side above ``max_side``; and its (width, height) before."""
    picture = to_picture(photo)
    return fit(picture, max_side), picture.size


def _cut(picture: Image.Image, boxes: Sequence[Box], longest: int) -> list[View]:
    """The parts of ``picture`` in ``boxes``, as files with no side above ``longest`` pixels."""
    views = []
    for box in boxes:
        left, top, right, bottom = (round(edge) for edge in box)
        part = fit(picture.crop((left, top, right, bottom)), longest)
        views.append(View(Box(left, top, right, bottom), to_compact(part), part.size))
    return views


def _summed(timings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for timing in timings:
        for stage, milliseconds in timing.items():
            total[stage] += milliseconds
    return {stage: round(milliseconds, 3) for stage, milliseconds in total.items()}
