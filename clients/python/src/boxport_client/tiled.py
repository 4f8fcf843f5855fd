"""Detection in a photo far larger than the model's input, tile by tile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from boxport_client.errors import InvalidRequest
from boxport_client.photos import Photo, decoding, to_picture
from boxport_client.questions import DetectQuestion
from boxport_client.replies import image_refusal, read_answer
from boxport_client.results import Box, Detection, DetectionResult
from boxport_client.shrinking import detections_in, fit, to_compact, to_plain
from boxport_client.steps import Conversation, Work
from boxport_client.tiling import merge, tiles

if TYPE_CHECKING:
    from boxport_client.conversation import Call, Conversations

TILES_A_REQUEST = 8  # enough for the service to have batches of, few enough for its limits
TOO_MUCH = frozenset({"too_many_images", "body_too_large"})
# The view of the whole photo is for its large objects, which are still large in so many pixels.
WHOLE_SIDE = 1280


@dataclass(frozen=True)
class View:
    """A part of the photo: where it is, and the file that is sent of it, of width and height."""

    box: Box
    content: bytes
    sent: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        return round(self.box.right - self.box.left), round(self.box.bottom - self.box.top)


def detect_tiled(
    service: Conversations, call: Call, photo: Photo, question: DetectQuestion
) -> Conversation[DetectionResult]:
    """The objects of all tiles and of the whole photo, each once; see `Client.detect`.

    The answer's timing is the sum over all requests.
    """
    picture, size = yield Work(lambda: _open(photo, question.max_side))
    assert question.tile is not None
    boxes = tiles(picture.size, question.tile, question.overlap)
    found: list[tuple[Box, Sequence[Detection]]] = []
    answers: list[DetectionResult] = []
    group, begin = TILES_A_REQUEST, 0
    while begin < len(boxes):
        part, longest = boxes[begin : begin + group], max(WHOLE_SIDE, question.tile)
        views = yield Work(partial(_cut, picture, part, longest))
        try:
            results = yield from _ask(service, call, views, question)
        except InvalidRequest as error:
            if error.code not in TOO_MUCH or group == 1:
                raise
            group //= 2  # the operator allows less
            continue
        for view, result in zip(views, results):
            found.append((view.box, detections_in(result.detections, view.sent, view.size)))
        answers.append(results[0])
        begin += len(views)
        model = results[0].model  # a new version must not answer half of the photo
        question = replace(question, model=f"{model.name}/{model.version}")
    thresholds = yield from _thresholds(service, call, question, answers[0])
    detections = yield Work(lambda: merge(found, picture.size, **thresholds))
    return replace(
        answers[0],
        width=size[0],
        height=size[1],
        detections=detections_in(detections, picture.size, size),
        timing_ms=_summed([answer.timing_ms for answer in answers]),
    )


def _ask(
    service: Conversations, call: Call, views: list[View], question: DetectQuestion
) -> Conversation[list[DetectionResult]]:
    """The answers on ``views``, which go in one request."""
    files = [("images", ("tile", view.content, "application/octet-stream")) for view in views]
    reply = yield from service.ask(call, "POST", "/v1/detect", question.query, {"files": files})

    def read(answer: Mapping[str, Any]) -> list[DetectionResult]:
        results = []
        for image in answer["results"]:
            if "error" in image:
                raise image_refusal(image["error"], call.request_id)
            results.append(DetectionResult.from_answer({**answer, "results": [image]}))
        if len(results) != len(views):
            raise ValueError("another number of results than of images")
        return results

    return read_answer(reply, read, call.request_id)


def _thresholds(
    service: Conversations, call: Call, question: DetectQuestion, answer: DetectionResult
) -> Conversation[dict[str, Any]]:
    """What the tiles' detections are merged by: as asked, else the model's own."""
    given: dict[str, Any] = {
        "iou_threshold": question.iou_threshold,
        "max_detections": question.max_detections,
    }
    if None in given.values():
        model = answer.model
        own = yield from service.defaults(call, model.name, model.version, model.sha256)
        given = {name: own[name] if value is None else value for name, value in given.items()}
    return {**given, "class_agnostic": bool(question.class_agnostic)}


def _open(photo: Photo, max_side: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """The photo, upright, with no side above ``max_side``; and the size that it had."""
    picture = to_plain(to_picture(photo))
    size = picture.size
    with decoding():
        picture.load()
    return fit(picture, max_side), size


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
