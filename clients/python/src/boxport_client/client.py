"""The client for programs that wait for each answer; AsyncClient is for those on an event loop."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from types import TracebackType
from typing import TypeVar

import httpx

from boxport_client.connection import connection_options, conversations
from boxport_client.health import Health
from boxport_client.many import JournalPath, Outcome, Photos, Run, check_concurrency
from boxport_client.ordered import Sleep, in_threads
from boxport_client.photos import Photo
from boxport_client.progress import Progress
from boxport_client.questions import ClassifyQuestion, DetectQuestion
from boxport_client.results import ClassificationResult, DetectionResult, ModelInfo
from boxport_client.steps import Conversation, Pause, Reply, Send
from boxport_client.video import Frame, frames
from boxport_client.video_frame import VideoFrame, VideoSource

T = TypeVar("T")


class Client:
    """Asks one service. Keeps its connections open between calls; safe for several threads.

    url: where the service is; the environment's BOXPORT_URL or http://localhost:3000 if not given.
    api_key: of a service that asks for one; the environment's BOXPORT_API_KEY if not given.
    timeout: seconds that a call may take, all its tries together. The service is told, and drops
        what would be late.
    retries: how often a call is tried again that met a busy service or a broken connection.
    http2: whether to speak HTTP/2 with services that do; needs the extra ``http2``.
    priority: "interactive" or "bulk"; the service lets bulk photos wait behind the others.

    Raises ValueError for an argument that cannot be, MissingExtra for HTTP/2 that is not installed.
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
        self._http = httpx.Client(**connection_options(http2))

    def detect(
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
        """Find objects in a photo. What is not given is the model's own default.

        photo: a path, the bytes of a file, a file object that is open as binary, a PIL image, a
            numpy array (uint8 [H, W, 3] RGB, or [H, W]), or an http(s) URL that the service may
            fetch.
        model: name, or name/version; the service's first detector if not given.
        score_threshold: 0..1; detections must score above it.
        iou_threshold: 0..1; of two boxes of one label that overlap more, the better one stays.
        class_agnostic: whether boxes of different labels compete as well; false if not given.
        max_detections: 1..1000.
        labels: names of the labels to keep.
        max_side: pixels; a photo with a longer side is made smaller before it is sent, which is
            faster and may lose small objects. Boxes are those of the original all the same.
        tile: pixels; looks for small objects in a large photo by asking about the tiles of this
            side that it is cut into, and about the whole. Boxes that several found become one.
        overlap: 0..1; the share of a tile that the next one also has, so that one of them holds
            whole what the border of the other cuts.
        timeout: seconds, in place of the client's.

        Raises PhotoError, ApiError, ConnectionFailed or RequestTimedOut.
        """
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
        return self._take(self._service.detect(photo, question, timeout))

    def classify(
        self,
        photo: Photo,
        *,
        model: str | None = None,
        top_k: int | None = None,
        max_side: int | None = None,
        timeout: float | None = None,
    ) -> ClassificationResult:
        """Say what a photo shows; the ``top_k`` best classes, or the model's default number.

        The other parameters, and what is raised, are those of `detect`.
        """
        question = ClassifyQuestion(model, top_k, max_side)
        return self._take(self._service.classify(photo, question, timeout))

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
    ) -> Generator[Outcome[DetectionResult], None, None]:
        """Find objects in many photos, several at a time; gives each photo's outcome, in order.

        What goes wrong with a photo is in its outcome, and not raised. Photos are taken from an
        iterable as outcomes are, so that it may be endless. Closed early, by ``break`` or Ctrl-C,
        it asks nothing more.

        photos: an iterable of what `detect` takes; or a folder's path, whose image files, and those
            of the folders in it, are taken in the order of their names.
        concurrency: how many are asked about at a time.
        progress: True shows a bar on stderr, for which the extra ``progress`` has to be installed;
            or a function, called with how many are done, and of how many, or None if that is
            unknown.
        journal: path of a file that answers are written to as they come. Photos that it already has
            answers on are not asked about again, so a run that was interrupted goes on. A photo
            that has changed, or that failed, is asked about.

        The other parameters are those of `detect`. Raises PhotoError for a folder that cannot be
        read, JournalError for a journal of another question, and MissingExtra.
        """
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
        return run.in_threads(
            lambda photo, sleep: self._take(self._service.detect(photo, question, timeout), sleep)
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
    ) -> Generator[Outcome[ClassificationResult], None, None]:
        """Say what each of many photos shows; see `detect_many` and `classify`."""
        question = ClassifyQuestion(model, top_k, max_side)
        run = Run(ClassificationResult.from_dict, photos, question, concurrency, progress, journal)
        return run.in_threads(
            lambda photo, sleep: self._take(self._service.classify(photo, question, timeout), sleep)
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
    ) -> Generator[VideoFrame, None, None]:
        """Find objects in the frames of a video, several at a time; gives the frames in order.

        Frames are decoded as they are asked for, and sent as JPEG. Needs PyAV or OpenCV.

        source: a file's path, or a camera's number.
        concurrency: how many frames are asked about at a time.
        every: only each so-manieth frame is.

        The other parameters, and what is raised, are those of `detect`; MissingExtra as well.
        """
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

        def work(frame: Frame, sleep: Sleep) -> VideoFrame:
            asking = self._service.detect_frame(frame.picture, question, timeout)
            return VideoFrame(frame.index, frame.seconds, frame.picture, self._take(asking, sleep))

        def run() -> Generator[VideoFrame, None, None]:
            with closing(given), closing(in_threads(given, work, concurrency)) as stream:
                yield from stream

        return run()

    def models(self) -> list[ModelInfo]:
        """Every model that the service holds."""
        return self._take(self._service.models())

    def model(self, name: str) -> ModelInfo:
        """The model ``name``, or name/version; raises InvalidRequest if there is none."""
        return self._take(self._service.model(name))

    def health(self) -> Health:
        """How the service is; one that cannot be reached is neither live nor ready."""
        return self._take(self._service.health())

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is ready; raises RequestTimedOut after ``timeout`` seconds."""
        self._take(self._service.wait_until_ready(timeout))

    def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._service.shown!r})"

    def _take(self, conversation: Conversation[T], sleep: Sleep = time.sleep) -> T:
        """Take the conversation's steps, one after the other, until it has its answer."""
        given: object = None
        failed: httpx.RequestError | None = None
        try:
            while True:
                step = conversation.send(given) if failed is None else conversation.throw(failed)
                given, failed = None, None
                if isinstance(step, Send):
                    try:
                        given = self._exchange(step)
                    except httpx.RequestError as error:
                        failed = error
                elif isinstance(step, Pause):
                    sleep(step.seconds)
                else:
                    given = step.function()
        except StopIteration as done:
            answer: T = done.value
            return answer

    def _exchange(self, step: Send) -> Reply:
        response = self._http.send(step.request, stream=True)
        try:
            parts = []
            for part in response.iter_bytes():
                parts.append(part)
                if step.remaining <= 0:
                    raise step.late()
        finally:
            response.close()
        return Reply(response.status_code, response.headers, b"".join(parts))
