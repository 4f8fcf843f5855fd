"""The client that blocks until each answer is there; `AsyncClient` is for event loops."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TypeVar

from boxport_client._api import Api
from boxport_client._connections import Connections, Verify
from boxport_client._many import JournalPath, Outcome, Photos, Run, check_concurrency
from boxport_client._model_info import Health, ModelInfo
from boxport_client._models import Models
from boxport_client._ordered import Sleep, in_threads
from boxport_client._parameters import ClassifyParameters, DetectParameters
from boxport_client._photos import Photo
from boxport_client._progress import Progress
from boxport_client._results import ClassificationResult, DetectionResult
from boxport_client._steps import RequestFlow, drive
from boxport_client._video import Frame, VideoFrame, VideoSource, frames

T = TypeVar("T")


class Client:
    """A client of one service. Keeps connections open between calls; safe for several threads.

    url: the service's address; BOXPORT_URL from the environment, else http://localhost:3000, if
        not given.
    api_key: for a service that needs one; BOXPORT_API_KEY from the environment if not given.
    timeout: seconds that a call may take, all its tries together. The service gets the time that
        is left with each request, and drops those that would be late.
    retries: how many more times a call is tried if the service is busy or the connection breaks.
    http2: whether to use HTTP/2 with services that have it; needs the extra ``http2``.
    priority: "interactive" or "bulk"; the service runs bulk requests after the others.
    verify: which certificates of https:// are trusted: True for those that SSL_CERT_FILE and
        SSL_CERT_DIR name, else those of the package certifi; the path of a PEM file or a folder;
        an ssl.SSLContext; or False for any, which is safe nowhere but in a test.

    A client may be used in processes that are forked later, and pickled for others: each has its
    own connections. The proxy is that of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

    Raises ValueError for an invalid argument, ConnectionFailed for a proxy or certificates of the
    environment that cannot be used, and MissingExtra if HTTP/2 or SOCKS is not installed.
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
        self._connections = Connections(self._api.connector(http2, verify))

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
        """Find objects in a photo. What is not given is the model's default.

        photo: a path, the bytes of a file, a file object opened as binary, a PIL image, a numpy
            array (uint8 or uint16, [H, W, 3] RGB or [H, W] grey), or an http(s) URL that the
            service may fetch.
        model: name, or name/version; the service's default detector if not given.
        score_threshold: 0..1; only detections that score above it are returned.
        iou_threshold: 0..1; of two boxes of one label whose IoU is above it, the better one stays.
        class_agnostic: whether boxes of different labels suppress each other too; default False.
        max_detections: 1..1000.
        labels: names of the labels to keep.
        regions: boxes (left, top, right, bottom in pixels of the upright photo) where a model looks
            that must be told, an R-CNN; what selective search proposes if not given. Not with
            max_side or tile.
        then: a classifier that is run on each box: the detection's ``classifications``.
        top_k: classes of each detection.
        region_padding: 0..1; the share of a box's sides that is added on each side for context.
        region_resize: "model" as the classifier resizes a photo, or "warp": all of the box.
        contours: whether detections have their outlines, of a model that finds them; default True.
        novelty: whether to say how novel the photo is, if the model has a companion. Not with tile.
        max_side: pixels; a photo with a longer side is made smaller before it is sent, which is
            faster but may lose small objects. Boxes are in pixels of the original all the same.
        tile: pixels; to find small objects in a large photo, it is cut into tiles of this side,
            and boxes found in several tiles or in the whole photo are merged.
        overlap: 0..0.9; the share of a tile that the next one covers too, so that an object cut by
            the border of one is whole in the other.
        timeout: seconds, in place of the client's.

        Raises PhotoError, ApiError, ConnectionFailed or RequestTimedOut.
        """
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
        return self._drive(self._api.detect(photo, parameters, timeout))

    def classify(
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
        """Classify a photo: the ``top_k`` best classes, or the model's default number of them.

        regions: boxes (left, top, right, bottom in pixels of the upright photo), each of which is
            classified in place of the whole: ``result.regions``. Not with max_side.

        The other parameters, and the errors, are those of `detect`.
        """
        parameters = ClassifyParameters(
            model, top_k, regions, region_padding, region_resize, novelty, max_side
        )
        return self._drive(self._api.classify(photo, parameters, timeout))

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
    ) -> Generator[Outcome[DetectionResult], None, None]:
        """Find objects in many photos, several at a time; yields each photo's outcome, in order.

        An error with one photo is in its outcome, and is not raised. Photos are taken from an
        iterable as outcomes are, so it may be endless. Closed early, by ``break`` or Ctrl-C, it
        sends nothing more.

        photos: an iterable of what `detect` takes; or a folder's path, for the image files in it
            and in the folders below it, sorted; `boxport_client.photos_in` lists them and the
            files that are passed over.
        concurrency: how many requests run at a time.
        progress: True shows a bar on stderr, which needs the extra ``progress``; a function is
            called with how many are done, and of how many, None if that is unknown.
        journal: path of a file that answers are written to as they come. Photos that it has an
            answer on are not sent again, so an interrupted run is resumed; photos that failed or
            have changed are sent.

        The other parameters are those of `detect`. Raises PhotoError for a folder that cannot be
        read, JournalError for a journal with other parameters, and MissingExtra.
        """
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
        return run.in_threads(
            lambda photo, sleep: self._drive(self._api.detect(photo, parameters, timeout), sleep)
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
        regions: Sequence[Sequence[float]] | None = None,
        region_padding: float | None = None,
        region_resize: str | None = None,
        novelty: bool | None = None,
        max_side: int | None = None,
        timeout: float | None = None,
    ) -> Generator[Outcome[ClassificationResult], None, None]:
        """Classify many photos; see `detect_many` and `classify`."""
        parameters = ClassifyParameters(
            model, top_k, regions, region_padding, region_resize, novelty, max_side
        )
        run = Run(
            ClassificationResult.from_dict, photos, parameters, concurrency, progress, journal
        )
        return run.in_threads(
            lambda photo, sleep: self._drive(self._api.classify(photo, parameters, timeout), sleep)
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
    ) -> Generator[VideoFrame, None, None]:
        """Find objects in the frames of a video, several at a time; yields the frames in order.

        Frames are decoded as they are taken, and sent as JPEG. Needs PyAV or OpenCV.

        source: a file's path, a stream's URL such as rtsp://, or a camera's number.
        concurrency: how many requests run at a time.
        every: 1 for every frame, 2 for every second one, and so on.

        The other parameters, and the errors, are those of `detect`; MissingExtra as well.
        """
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

        def work(frame: Frame, sleep: Sleep) -> VideoFrame:
            flow = self._api.detect_frame(frame.picture, parameters, timeout)
            return VideoFrame(frame.index, frame.seconds, frame.picture, self._drive(flow, sleep))

        def run() -> Generator[VideoFrame, None, None]:
            with closing(given), closing(in_threads(given, work, concurrency)) as stream:
                yield from stream

        return run()

    @property
    def models(self) -> Models:
        """Called, every model of the service; and what can be done with their versions: see
        `Models`."""
        return Models(self._api, self._drive)

    def model(self, name: str) -> ModelInfo:
        """The model ``name``, or name/version; raises InvalidRequest if there is none."""
        return self._drive(self._api.model(name))

    def health(self) -> Health:
        """The service's health; one that cannot be reached is neither live nor ready."""
        return self._drive(self._api.health())

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is ready; raises RequestTimedOut after ``timeout`` seconds."""
        self._drive(self._api.wait_until_ready(timeout))

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._connections.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._api.shown_url!r})"

    def _drive(self, flow: RequestFlow[T], sleep: Sleep = time.sleep) -> T:
        return drive(flow, self._connections.send, sleep)
