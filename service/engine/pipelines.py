"""What becomes of one image of a request.

    WholeImage   image ─────────────────────────────────► model ─► result
    Regions      image ─► photo ─► regions ─────────────► classifier ─► classes of each
    Detections   image ─► photo ─► detector ─► boxes ───► classifier ─► detections, classes of each

Regions go through the classifier's queue like whole images, so that they are batched with those of
other requests. A photo that they are cut out of is decoded once.
"""

import time
from asyncio import gather
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.engine.admission import Admission
from service.imaging.regions import Context, clip
from service.imaging.resize import Box, ModelInput, Photo
from service.inference.deadline import RequestPolicy
from service.inference.detector import BOX_DECIMALS
from service.inference.model import LoadedModel
from service.inference.photos import PIXEL_BYTES, Parts, PhotoReader
from service.inference.task import Job, Result, Row, kept_if_abandoned
from service.problems import Problem

Content = bytes | ModelInput
Stages = dict[str, float]


@dataclass
class Times:
    """When an image's work began, by `time.perf_counter`, and the seconds that it then spent in
    each of `STAGES` that it came to, in that order: of its regions the slowest ones', and of two
    models one after the other the sum.

    runs: the name of the model, and the stages, of each image and region that was answered for it.
    novelty: how novel the photo is to the model that was asked; None if nobody knows.
    """

    started: float
    stages: Stages = field(default_factory=dict)
    runs: list[tuple[str, Stages]] = field(default_factory=list)
    novelty: float | None = None

    def add(self, stages: Stages) -> None:
        for stage, seconds in stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds


@dataclass(frozen=True)
class Shared:
    """What all pipelines of an engine share."""

    admission: Admission
    reader: PhotoReader

    def keep(self, photo: Photo) -> AbstractContextManager[None]:
        """Count the memory of a photo that stays after it was decoded."""
        return self.admission.keep_memory(PIXEL_BYTES * photo.width * photo.height)


class Pipeline(Protocol):
    async def answer(self, content: Content, policy: RequestPolicy, times: Times) -> Result:
        """The result of an image, as the HTTP API shows it; ``times`` then say where its time went.

        Raises Problem, and what a model raised.
        """


@dataclass(frozen=True)
class ModelCall:
    """A model, and what a request asks of it."""

    model: LoadedModel
    query: Any
    shared: Shared

    async def run(
        self,
        content: Content,
        policy: RequestPolicy,
        times: Times,
        decoding: float | None = None,
        *,
        is_whole: bool = True,
    ) -> tuple[Result, Stages]:
        """The result of an image, and where its time went, which is noted in ``times.runs``.

        decoding: seconds that have been spent on it already. is_whole: whether it is a photo.
        """
        stages = {} if decoding is None else {"decode": decoding}
        job = Job(content, self.query, policy, stages, is_whole=is_whole)
        with kept_if_abandoned(job, self.shared.admission.keep_bytes):
            result = await self.model.submit(job)
        times.runs.append((self.model.manifest.name, job.stages))
        if is_whole:
            times.novelty = job.novelty
        return result, job.stages

    async def run_all(
        self, inputs: Sequence[ModelInput], policy: RequestPolicy, times: Times, decoding: float
    ) -> list[list[Row]]:
        """The rows of each of ``inputs``, in order; the stages of the slowest are in ``times``.

        Raises what the first that failed raised.
        """
        self.model.pace.check(policy.deadline, len(inputs))
        works = (self.run(one, policy, times, decoding, is_whole=False) for one in inputs)
        rows: list[list[Row]] = []
        slowest: Stages = {}
        for outcome in await gather(*works, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            result, stages = outcome
            rows.append(result[self.model.predictor.rows_name])
            for stage, seconds in stages.items():
                slowest[stage] = max(slowest.get(stage, 0.0), seconds)
        times.add(slowest)
        return rows


@dataclass(frozen=True)
class WholeImage:
    """An image through a model."""

    call: ModelCall

    async def answer(self, content: Content, policy: RequestPolicy, times: Times) -> Result:
        result, stages = await self.call.run(content, policy, times)
        times.add(stages)
        return result


@dataclass(frozen=True)
class Regions:
    """The ``boxes`` of an image, in its pixels, through a classifier."""

    classifier: ModelCall
    boxes: Sequence[Box]
    context: Context

    async def answer(self, content: Content, policy: RequestPolicy, times: Times) -> Result:
        reader = self.classifier.shared.reader
        photo = await reader.read(_file_of(content), policy)
        with self.classifier.shared.keep(photo):
            width, height = photo.size
            boxes = [clip(box, photo.size) for box in self.boxes]
            parts = Parts(photo, self.classifier.model.manifest.input, boxes, self.context)
            inputs = await reader.cut(parts, policy)
            del photo, parts
        decoding = time.perf_counter() - times.started
        rows = await self.classifier.run_all(inputs, policy, times, decoding)
        regions = [
            {"box": [round(side, BOX_DECIMALS) for side in box], "classifications": found}
            for box, found in zip(boxes, rows, strict=True)
        ]
        return {"width": width, "height": height, "regions": regions}


@dataclass(frozen=True)
class Detections:
    """What a detector finds in an image, through a classifier."""

    detector: ModelCall
    classifier: ModelCall
    context: Context

    async def answer(self, content: Content, policy: RequestPolicy, times: Times) -> Result:
        shared = self.detector.shared
        photo = await shared.reader.read(_file_of(content), policy)
        with shared.keep(photo):
            parts = Parts(photo, self.detector.model.manifest.input)
            (whole,) = await shared.reader.cut(parts, policy)
            decoding = time.perf_counter() - times.started
            result, stages = await self.detector.run(whole, policy, times, decoding)
            times.add(stages)
            detections = result["detections"]
            if not detections:
                return result
            began = time.perf_counter()
            boxes = [tuple(one["box"]) for one in detections]
            parts = Parts(photo, self.classifier.model.manifest.input, boxes, self.context)
            inputs = await shared.reader.cut(parts, policy)
            del photo, parts
        decoding = time.perf_counter() - began
        with shared.admission.keep_images(len(inputs)):
            rows = await self.classifier.run_all(inputs, policy, times, decoding)
        for detection, found in zip(detections, rows, strict=True):
            detection["classifications"] = found
        return result


def _file_of(content: Content) -> bytes:
    """The bytes of an image's file; raises Problem if it came as what a model reads."""
    if isinstance(content, ModelInput):
        raise Problem(
            "invalid_parameter", "Regions are cut out of photos: send files, not a graph's input."
        )
    return content
