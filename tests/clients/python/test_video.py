"""Frames of real videos, read by each of the two decoders."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from boxport_client import MissingExtra, PhotoError
from boxport_client._video import frames
from PIL import Image

try:
    import av  # writes the videos, also where another decoder reads them
except ImportError:
    av = None

SIZE = (320, 208)
RATE = 10
LENGTH = 12


def written(
    path: Path, pictures: list[Image.Image], codec: str = "mpeg4", alone: bool = False
) -> Path:
    """A sharp video of ``pictures``; ``alone``: each stands for itself, not on the one before."""
    if av is None:
        pytest.skip("PyAV is not installed")
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        if alone:
            stream.gop_size = 1
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode())
    return path


def turned(source: Path, path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """A copy of a video that says, as phones do, how it is to be turned when shown.

    matrix: a, b, c, d of the track header (ISO/IEC 14496-12, 8.3.2).
    """
    content = bytearray(source.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def open_files() -> set[str]:
    """What this process holds open."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not tell which files are open")
    found = set()
    for entry in folder.iterdir():
        try:
            found.add(str(entry.readlink()))
        except OSError:
            continue  # closed in between
    return found


@pytest.fixture(scope="module")
def pictures(photos: Path) -> list[Image.Image]:
    """The cat, with a red bar at the left that is brighter in each."""
    with Image.open(photos / "cat.jpg") as photo:
        cat = photo.convert("RGB").resize(SIZE)
    made = []
    for index in range(LENGTH):
        picture = cat.copy()
        picture.paste((20 * index, 0, 0), (0, 0, 48, SIZE[1]))
        made.append(picture)
    return made


@pytest.fixture(scope="module")
def clip(pictures: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("video") / "clip.mp4", pictures)


@pytest.fixture(params=["av", "cv2"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one that reads; the other is as if it were not installed."""
    pytest.importorskip(request.param)
    monkeypatch.setitem(sys.modules, {"av": "cv2", "cv2": "av"}[request.param], None)
    return request.param


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_every_frame_in_order(
    decoder: str, pictures: list[Image.Image], codec: str, tmp_path: Path
) -> None:
    found = list(frames(written(tmp_path / "clip.mp4", pictures, codec)))
    assert [frame.index for frame in found] == list(range(LENGTH))
    assert [frame.seconds for frame in found] == pytest.approx([i / RATE for i in range(LENGTH)])
    for frame in found:
        assert (frame.picture.mode, frame.picture.size) == ("RGB", SIZE)
        difference = np.abs(
            np.asarray(frame.picture, float) - np.asarray(pictures[frame.index], float)
        )
        assert difference.mean() < 4


@pytest.mark.parametrize(
    ("every", "indices"), [(1, [*range(LENGTH)]), (5, [0, 5, 10]), (LENGTH, [0]), (99, [0])]
)
def test_some_frames(decoder: str, clip: Path, every: int, indices: list[int]) -> None:
    found = list(frames(clip, every))
    assert [frame.index for frame in found] == indices
    assert [frame.seconds for frame in found] == pytest.approx([i / RATE for i in indices])
    bars = [frame.picture.getpixel((20, 100))[0] for frame in found]
    assert bars == pytest.approx([20 * index for index in indices], abs=6)


@pytest.mark.parametrize(
    ("matrix", "size", "bar"),
    [
        ((1, 0, 0, 1), SIZE, (20, 100)),
        ((0, 1, -1, 0), SIZE[::-1], (100, 20)),  # a quarter clockwise: left comes to the top
        ((-1, 0, 0, -1), SIZE, (300, 100)),
        ((0, -1, 1, 0), SIZE[::-1], (100, 300)),
    ],
    ids=["upright", "clockwise", "overhead", "counterclockwise"],
)
def test_frames_are_upright(
    decoder: str,
    clip: Path,
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    size: tuple[int, int],
    bar: tuple[int, int],
) -> None:
    picture = next(frames(turned(clip, tmp_path / "phone.mp4", matrix))).picture
    assert picture.size == size
    assert max(picture.getpixel(bar)) < 20  # the first frame's bar is black
    assert max(picture.getpixel((size[0] - bar[0], size[1] - bar[1]))) > 60


@pytest.mark.parametrize("name", ["rtsp:cat.mp4", "cat%03d.mp4", "Katze über Eck.mp4", "-i.mp4"])
def test_any_name_of_a_file(
    decoder: str, clip: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(list(frames(name, 4))) == 3


def test_the_file_is_closed_after_the_last_frame(decoder: str, clip: Path) -> None:
    assert str(clip) not in open_files()
    reading = frames(clip)
    assert str(clip) not in open_files()
    for _ in reading:
        assert str(clip) in open_files()
    assert str(clip) not in open_files()


def test_the_file_is_closed_with_the_iterator(decoder: str, clip: Path) -> None:
    reading = frames(clip)
    assert [frame.index for frame in islice(reading, 2)] == [0, 1]
    assert str(clip) in open_files()
    reading.close()
    assert str(clip) not in open_files()
    frames(clip).close()  # before the first frame


def test_a_frame_outlives_its_video(decoder: str, clip: Path) -> None:
    reading = frames(clip)
    first = next(reading).picture
    pixels = first.tobytes()
    list(reading)
    assert first.tobytes() == pixels


@pytest.fixture(scope="module")
def stills(pictures: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip, as frames of one size that stand for themselves."""
    return written(tmp_path_factory.mktemp("video") / "stills.mp4", pictures, alone=True)


def test_a_video_that_is_cut_off_ends_with_its_last_frame(
    decoder: str, stills: Path, tmp_path: Path
) -> None:
    content = stills.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: len(content) * 3 // 4])
    assert 7 <= len(list(frames(path))) <= 10


def test_damaged_frames_are_left_out(decoder: str, stills: Path, tmp_path: Path) -> None:
    content = bytearray(stills.read_bytes())
    middle = (content.index(b"mdat") + len(content)) // 2
    length = len(content) // LENGTH * 2  # a whole frame lies within it
    content[middle : middle + length] = bytes(length)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    found = list(frames(path))
    assert LENGTH - 4 <= len(found) < LENGTH
    assert found[-1].seconds == pytest.approx((LENGTH - 1) / RATE)


def test_a_video_without_a_whole_frame_is_told(decoder: str, stills: Path, tmp_path: Path) -> None:
    content = stills.read_bytes()
    begin = content.index(b"mdat") + 4
    path = tmp_path / "zeros.mp4"
    path.write_bytes(content[:begin] + bytes(len(content) - begin))
    with pytest.raises(PhotoError, match=r"zeros.mp4: no frame of it can be decoded$"):
        next(frames(path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.mp4", "missing.mp4: No such file or directory$"),
        ("", ": is a folder, not a video$"),
        ("text.mp4", "text.mp4: cannot be read as a video"),
        ("empty.mp4", "empty.mp4: cannot be read as a video"),
        ("z\0.mp4", "null"),
    ],
)
def test_what_is_no_video(decoder: str, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "text.mp4").write_text("This is no video. " * 99)
    (tmp_path / "empty.mp4").touch()
    reading = frames(f"{tmp_path}/{name}")
    with pytest.raises(PhotoError, match=words) as caught:
        next(reading)
    assert "\n" not in str(caught.value)


def test_sound_alone_is_no_video(decoder: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))
    words = {"av": "has no video stream", "cv2": "cannot be read as a video"}[decoder]
    with pytest.raises(PhotoError, match=f"sound.wav: {words}$"):
        next(frames(path))


@contextmanager
def silent_server() -> Iterator[str]:
    """Somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/live.mp4"


LISTEN = """
import sys
from boxport_client import PhotoError, _video
_video.STREAM_TIMEOUT = 0.3
try:
    next(_video.frames(sys.argv[1]))
except PhotoError as error:
    print(error)
"""


def test_a_stream_that_stays_silent_is_given_up() -> None:
    """In a process of its own, for else nothing would end a wait that has no end."""
    pytest.importorskip("av")
    with silent_server() as url:
        told = subprocess.run(
            [sys.executable, "-c", LISTEN, url], capture_output=True, text=True, timeout=60
        )
    assert "live.mp4: cannot be read" in told.stdout, told.stderr


@pytest.mark.parametrize(
    ("source", "every", "words"),
    [("clip.mp4", 0, "every is 0"), ("clip.mp4", -1, "every is -1"), (-1, 1, "number is -1")],
)
def test_wrong_parameters_are_told_at_once(source: str | int, every: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        frames(source, every)


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(PhotoError, match="camera 63: cannot be opened"):
        next(frames(63))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("clip.mp4", "video needs PyAV or OpenCV: pip install av$"),
        (0, "cameras need OpenCV: pip install opencv-python-headless$"),
    ],
)
def test_what_is_missing_is_said_at_once(
    source: str | int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=words):
        frames(source)
