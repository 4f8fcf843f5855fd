"""The frames of a video or a camera, one after the other.

Decoded by PyAV, or by OpenCV where PyAV is not installed; both bring FFmpeg with them. Cameras are
OpenCV's, which knows those of every platform by number.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import stat
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from boxport_client._errors import MissingExtra, PhotoError
from boxport_client._results import DetectionResult

VideoSource = str | os.PathLike[str] | int

STREAM_TIMEOUT = 30.0  # seconds without data after which a stream has ended
MAX_DAMAGED = 25  # frames in a row that OpenCV cannot decode, after which a file is at its end
DEFAULT_RATE = 25  # frames a second of a file that states neither times nor a rate
COUNTERCLOCKWISE = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Frame:
    """A decoded frame; see `VideoFrame`."""

    index: int
    seconds: float
    picture: Image.Image


@dataclass(frozen=True)
class VideoFrame(Frame):
    """A frame of a video, and what was found in it.

    index: its number among the frames that can be decoded, from 0, skipped ones included.
    seconds: since the start of the video, as its file says; of a camera, since its first frame.
    picture: the frame, upright and in RGB.
    """

    result: DetectionResult


def frames(source: VideoSource, every: int = 1) -> Generator[Frame, None, None]:
    """Every ``every``-th frame of ``source`` from the first on, each decoded when it is taken.

    source: path of a video file, URL of a stream (such as rtsp://), or a camera's number.

    Damaged frames are left out, as players do. The source is opened at the first frame,
    and closed after the last one or by the iterator's close(). Raises ValueError for a parameter
    out of its range, MissingExtra where nothing that is installed reads the source, and, while
    frames are taken, PhotoError where it cannot be read.
    """
    if every < 1:
        raise ValueError(f"every is {every}, it must be at least 1")
    if isinstance(source, int) and source < 0:
        raise ValueError(f"a camera's number is {source}, it must be at least 0")
    names = ("cv2",) if isinstance(source, int) else ("av", "cv2")
    if not any(map(importlib.util.find_spec, names)):
        raise _missing(names)
    return _read(source, every, names)


def _read(source: VideoSource, every: int, names: Sequence[str]) -> Generator[Frame, None, None]:
    decoder = _load(names)  # where the first frame is taken: an event loop would stand still
    if isinstance(source, int):
        yield from _read_camera(decoder, source, every)
    else:
        read = _read_by_pyav if decoder.__name__ == "av" else _read_by_opencv
        yield from read(decoder, os.fspath(source), every)


def _load(names: Sequence[str]) -> Any:
    """The first of the modules that can be imported."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise _missing(names)


def _missing(names: Sequence[str]) -> MissingExtra:
    if "av" in names:
        return MissingExtra("video needs PyAV or OpenCV: pip install av")
    return MissingExtra("cameras need OpenCV: pip install opencv-python-headless")


def _address(name: str) -> str:
    """What FFmpeg opens: it would take "a:b.mp4" for an address of the protocol a."""
    if "://" in name:
        return name
    try:
        is_folder = stat.S_ISDIR(Path(name).stat().st_mode)
    except (OSError, ValueError) as error:  # the latter for a name with a zero byte
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise PhotoError(f"{name}: {words}") from error
    if is_folder:
        raise PhotoError(f"{name}: is a folder, not a video")
    return f"file:{name}"


def _read_by_pyav(av: Any, name: str, every: int) -> Generator[Frame, None, None]:
    try:
        with av.open(_address(name), timeout=STREAM_TIMEOUT) as container:
            if not container.streams.video:
                raise PhotoError(f"{name}: has no video stream")
            stream = container.streams.video[0]
            index = -1
            for index, frame in enumerate(_decode(av, container, stream)):
                if index % every == 0:
                    picture = _turned(frame.to_image(), getattr(frame, "rotation", 0))
                    yield Frame(index, _seconds(frame, stream, index), picture)
            if index < 0:
                raise PhotoError(f"{name}: no frame of it can be decoded")
    except av.FFmpegError as error:
        raise PhotoError(f"{name}: cannot be read as a video: {error.strerror}") from error


def _decode(av: Any, container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from decoded


def _seconds(frame: Any, stream: Any, index: int) -> float:
    if frame.pts is None:
        return index / float(stream.average_rate or DEFAULT_RATE)
    return float((frame.pts - (stream.start_time or 0)) * frame.time_base)


def _turned(picture: Image.Image, degrees: int) -> Image.Image:
    """``picture`` turned counterclockwise by a multiple of 90; other angles are ignored."""
    turn = COUNTERCLOCKWISE.get(degrees % 360)
    return picture if turn is None else picture.transpose(turn)


def _read_by_opencv(cv2: Any, name: str, every: int) -> Generator[Frame, None, None]:
    capture = cv2.VideoCapture(_address(name), cv2.CAP_FFMPEG)  # which turns frames upright
    try:
        if not capture.isOpened():
            raise PhotoError(f"{name}: cannot be read as a video")
        index = 0
        while _grab(capture, tries=1 if "://" in name else MAX_DAMAGED):
            if index % every == 0:
                seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                yield Frame(index, seconds, _retrieve(cv2, capture))
            index += 1
        if index == 0:
            raise PhotoError(f"{name}: no frame of it can be decoded")
    finally:
        capture.release()


def _grab(capture: Any, tries: int) -> bool:
    """Go to the next frame. OpenCV reports a damaged one as it does the end of a file."""
    return any(capture.grab() for _ in range(tries))


def _read_camera(cv2: Any, number: int, every: int) -> Generator[Frame, None, None]:
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise PhotoError(f"camera {number}: cannot be opened")
        index, started = 0, time.monotonic()
        while capture.grab():
            if index == 0:
                started = time.monotonic()
            if index % every == 0:
                yield Frame(index, time.monotonic() - started, _retrieve(cv2, capture))
            index += 1
    finally:
        capture.release()


def _retrieve(cv2: Any, capture: Any) -> Image.Image:
    _, pixels = capture.retrieve()
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
