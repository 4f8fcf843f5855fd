"""The client for programs on an asyncio event loop; its calls are those of `Client`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

import httpx

from boxport_client._api import Api
from boxport_client._connections import AsyncConnections, Verify
from boxport_client._many import JournalPath, Outcome, Photos, Run, check_concurrency
from boxport_client._model_info import Health, ModelInfo
from boxport_client._models import AsyncModels
from boxport_client._ordered import in_background, in_tasks
from boxport_client._parameters import ClassifyParameters, DetectParameters
from boxport_client._photos import Photo
from boxport_client._progress import Progress
from boxport_client._results import ClassificationResult, DetectionResult
from boxport_client._steps import Pause, RequestFlow, Send
from boxport_client._video import Frame, VideoFrame, VideoSource, frames

T = TypeVar("T")


class AsyncClient:
    """A client of one service, for asyncio. See `Client` for the arguments.

    It may be used on several event loops, one after the other or in several threads: each has its
    own connections, which it closes when it ends. Files are read and images processed in threads,
    so that the loop is not blocked.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        http2: bool = False,
        priority: str | None = None,
        verify: Verify = True,
    ) -> None:
        self._api = Api(url, api_key, timeout, retries, priority)
        self._connections = AsyncConnections(self._api.connector(http2, verify))

    async def detect(
        self,
        photo: Photo,
        *,
        model: str | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        class_agnostic: bool | None = None,
        max_detections: int | None = None,
        labels: Sequence[str] | None = None,
        regions: Sequence[Sequence[float]] | None = None,
        then: str | None = None,
        top_k: int | None = None,
        region_padding: float | None = None,
        region_resize: str | None = None,
        contours: bool | None = None,
        novelty: bool | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        overlap: float = 0.2,
        timeout: float | None = None,
    ) -> DetectionResult:
        """See `Client.detect`."""
        parameters = DetectParameters(
            model,
            score_threshold,
            iou_threshold,
            class_agnostic,
            max_detections,
            labels,
            regions,
            then,
            top_k,
            region_padding,
            region_resize,
            contours,
            novelty,
            max_side,
            tile,
            overlap,
        )
        return await self._drive(self._api.detect(photo, parameters, timeout))

    async def classify(
        self,
        photo: Photo,
        *,
        model: str | None = None,
        top_k: int | None = None,
        regions: Sequence[Sequence[float]] | None = None,
        region_padding: float | None = None,
        region_resize: str | None = None,
        novelty: bool | None = None,
        max_side: int | None = None,
        timeout: float | None = None,
    ) -> ClassificationResult:
        """See `Client.classify`."""
        parameters = ClassifyParameters(
            model, top_k, regions, region_padding, region_resize, novelty, max_side
        )
        return await self._drive(self._api.classify(photo, parameters, timeout))

    def detect_many(
        self,
        photos: Photos,
        *,
        concurrency: int = 4,
        progress: Progress = False,
        journal: JournalPath = None,
        model: str | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        class_agnostic: bool | None = None,
        max_detections: int | None = None,
        labels: Sequence[str] | None = None,
        regions: Sequence[Sequence[float]] | None = None,
        then: str | None = None,
        top_k: int | None = None,
        region_padding: float | None = None,
        region_resize: str | None = None,
        contours: bool | None = None,
        novelty: bool | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        overlap: float = 0.2,
        timeout: float | None = None,
    ) -> AsyncGenerator[Outcome[DetectionResult], None]:
        """See `Client.detect_many`."""
        parameters = DetectParameters(
            model,
            score_threshold,
            iou_threshold,
            class_agnostic,
            max_detections,
            labels,
            regions,
            then,
            top_k,
            region_padding,
            region_resize,
            contours,
            novelty,
            max_side,
            tile,
            overlap,
        )
        run = Run(DetectionResult.from_dict, photos, parameters, concurrency, progress, journal)
        return run.in_tasks(lambda photo: self._drive(self._api.detect(photo, parameters, timeout)))

    def classify_many(
        self,
        photos: Photos,
        *,
        concurrency: int = 4,
        progress: Progress = False,
        journal: JournalPath = None,
        model: str | None = None,
        top_k: int | None = None,
        regions: Sequence[Sequence[float]] | None = None,
        region_padding: float | None = None,
        region_resize: str | None = None,
        novelty: bool | None = None,
        max_side: int | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Outcome[ClassificationResult], None]:
        """See `Client.classify_many`."""
        parameters = ClassifyParameters(
            model, top_k, regions, region_padding, region_resize, novelty, max_side
        )
        run = Run(
            ClassificationResult.from_dict, photos, parameters, concurrency, progress, journal
        )
        return run.in_tasks(
            lambda photo: self._drive(self._api.classify(photo, parameters, timeout))
        )

    def detect_video(
        self,
        source: VideoSource,
        *,
        concurrency: int = 4,
        every: int = 1,
        model: str | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        class_agnostic: bool | None = None,
        max_detections: int | None = None,
        labels: Sequence[str] | None = None,
        regions: Sequence[Sequence[float]] | None = None,
        then: str | None = None,
        top_k: int | None = None,
        region_padding: float | None = None,
        region_resize: str | None = None,
        contours: bool | None = None,
        novelty: bool | None = None,
        max_side: int | None = None,
        tile: int | None = None,
        overlap: float = 0.2,
        timeout: float | None = None,
    ) -> AsyncGenerator[VideoFrame, None]:
        """See `Client.detect_video`."""
        parameters = DetectParameters(
            model,
            score_threshold,
            iou_threshold,
            class_agnostic,
            max_detections,
            labels,
            regions,
            then,
            top_k,
            region_padding,
            region_resize,
            contours,
            novelty,
            max_side,
            tile,
            overlap,
        )
        check_concurrency(concurrency)
        given = frames(source, every)

        async def work(frame: Frame) -> VideoFrame:
            flow = self._api.detect_frame(frame.picture, parameters, timeout)
            return VideoFrame(frame.index, frame.seconds, frame.picture, await self._drive(flow))

        return in_tasks(in_background(given, given.close), work, concurrency)

    @property
    def models(self) -> AsyncModels:
        """See `Client.models`."""
        return AsyncModels(self._api, self._drive)

    async def model(self, name: str) -> ModelInfo:
        """See `Client.model`."""
        return await self._drive(self._api.model(name))

    async def health(self) -> Health:
        """See `Client.health`."""
        return await self._drive(self._api.health())

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """See `Client.wait_until_ready`."""
        await self._drive(self._api.wait_until_ready(timeout))

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._connections.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._api.shown_url!r})"

    async def _drive(self, flow: RequestFlow[T]) -> T:
        """Take the flow's steps, one after the other, until it returns the call's result."""
        given: object = None
        failed: httpx.RequestError | None = None
        try:
            while True:
                step = flow.send(given) if failed is None else flow.throw(failed)
                given, failed = None, None
                if isinstance(step, Send):
                    try:
                        given = await self._connections.send(step)
                    except httpx.RequestError as error:
                        failed = error
                elif isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    given = await asyncio.get_running_loop().run_in_executor(None, step.function)
        except StopIteration as done:
            answer: T = done.value
            return answer
