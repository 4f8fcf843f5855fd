"""The client for programs on an event loop, asyncio's; what it says is what `Client` says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import TypeVar

import httpx

from boxport_client.connection import connection_options, conversations
from boxport_client.health import Health
from boxport_client.many import JournalPath, Outcome, Photos, Run, check_concurrency
from boxport_client.ordered import in_background, in_tasks
from boxport_client.photos import Photo
from boxport_client.progress import Progress
from boxport_client.questions import ClassifyQuestion, DetectQuestion
from boxport_client.results import ClassificationResult, DetectionResult, ModelInfo
from boxport_client.steps import Conversation, Pause, Reply, Send
from boxport_client.video import Frame, frames
from boxport_client.video_frame import VideoFrame, VideoSource

T = TypeVar("T")


class AsyncClient:
    """Asks one service; for one event loop. See `Client` for the arguments.

    Files are read and pictures changed in threads, so that the loop goes on.
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
    ) -> None:
        self._service = conversations(url, api_key, timeout, retries, priority)
        self._http = httpx.AsyncClient(**connection_options(http2))

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
        max_side: int | None = None,
        tile: int | None = None,
        overlap: float = 0.2,
        timeout: float | None = None,
    ) -> DetectionResult:
        """See `Client.detect`."""
        question = DetectQuestion(
            model,
            score_threshold,
            iou_threshold,
            class_agnostic,
            max_detections,
            labels,
            max_side,
            tile,
            overlap,
        )
        return await self._take(self._service.detect(photo, question, timeout))

    async def classify(
        self,
        photo: Photo,
        *,
        model: str | None = None,
        top_k: int | None = None,
        max_side: int | None = None,
        timeout: float | None = None,
    ) -> ClassificationResult:
        """See `Client.classify`."""
        question = ClassifyQuestion(model, top_k, max_side)
        return await self._take(self._service.classify(photo, question, timeout))

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
        max_side: int | None = None,
        tile: int | None = None,
        overlap: float = 0.2,
        timeout: float | None = None,
    ) -> AsyncGenerator[Outcome[DetectionResult], None]:
        """See `Client.detect_many`."""
        question = DetectQuestion(
            model,
            score_threshold,
            iou_threshold,
            class_agnostic,
            max_detections,
            labels,
            max_side,
            tile,
            overlap,
        )
        run = Run(DetectionResult.from_dict, photos, question, concurrency, progress, journal)
        return run.in_tasks(
            lambda photo: self._take(self._service.detect(photo, question, timeout))
        )

    def classify_many(
        self,
        photos: Photos,
        *,
        concurrency: int = 4,
        progress: Progress = False,
        journal: JournalPath = None,
        model: str | None = None,
        top_k: int | None = None,
        max_side: int | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Outcome[ClassificationResult], None]:
        """See `Client.classify_many`."""
        question = ClassifyQuestion(model, top_k, max_side)
        run = Run(ClassificationResult.from_dict, photos, question, concurrency, progress, journal)
        return run.in_tasks(
            lambda photo: self._take(self._service.classify(photo, question, timeout))
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
        max_side: int | None = None,
        tile: int | None = None,
        overlap: float = 0.2,
        timeout: float | None = None,
    ) -> AsyncGenerator[VideoFrame, None]:
        """See `Client.detect_video`."""
        question = DetectQuestion(
            model,
            score_threshold,
            iou_threshold,
            class_agnostic,
            max_detections,
            labels,
            max_side,
            tile,
            overlap,
        )
        check_concurrency(concurrency)
        given = frames(source, every)

        async def work(frame: Frame) -> VideoFrame:
            asking = self._service.detect_frame(frame.picture, question, timeout)
            return VideoFrame(frame.index, frame.seconds, frame.picture, await self._take(asking))

        return in_tasks(in_background(given), work, concurrency)

    async def models(self) -> list[ModelInfo]:
        """See `Client.models`."""
        return await self._take(self._service.models())

    async def model(self, name: str) -> ModelInfo:
        """See `Client.model`."""
        return await self._take(self._service.model(name))

    async def health(self) -> Health:
        """See `Client.health`."""
        return await self._take(self._service.health())

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """See `Client.wait_until_ready`."""
        await self._take(self._service.wait_until_ready(timeout))

    async def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._service.shown!r})"

    async def _take(self, conversation: Conversation[T]) -> T:
        """Take the conversation's steps, one after the other, until it has its answer."""
        given: object = None
        failed: httpx.RequestError | None = None
        try:
            while True:
                step = conversation.send(given) if failed is None else conversation.throw(failed)
                given, failed = None, None
                if isinstance(step, Send):
                    try:
                        given = await self._exchange(step)
                    except httpx.RequestError as error:
                        failed = error
                elif isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    given = await asyncio.get_running_loop().run_in_executor(None, step.function)
        except StopIteration as done:
            answer: T = done.value
            return answer

    async def _exchange(self, step: Send) -> Reply:
        try:
            return await asyncio.wait_for(self._read(step.request), step.remaining)
        except asyncio.TimeoutError:
            raise step.late() from None

    async def _read(self, request: httpx.Request) -> Reply:
        response = await self._http.send(request)
        return Reply(response.status_code, response.headers, response.content)
