"""The frames of a video, asked about several at a time and given in order."""

from pathlib import Path

import pytest
from boxport_client import MissingExtra, _ordered
from PIL import Image

from tests.clients.python.scripted import ScriptedServer, answers, refuses

av = pytest.importorskip("av")
FRAMES, RATE = 24, 12


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Two seconds of the cat, which gets darker."""
    path = tmp_path_factory.mktemp("video") / "cat.mp4"
    cat = Image.open(photos / "cat.jpg").resize((448, 300))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 448, 300, "yuv420p"
        for number in range(FRAMES):
            picture = Image.blend(cat, Image.new("RGB", cat.size), number / FRAMES / 2)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


def test_frames_are_given_in_order_with_what_is_on_them(client, video: Path) -> None:
    frames = list(client.detect_video(video, every=4, concurrency=3, labels=["cat"]))
    assert [frame.index for frame in frames] == [0, 4, 8, 12, 16, 20]
    assert [frame.seconds for frame in frames] == pytest.approx([n / RATE for n in range(0, 24, 4)])
    for frame in frames:
        assert frame.picture.size == (frame.result.width, frame.result.height) == (448, 300)
    assert frames[0].result.detections[0].label == "cat"
    brightness = [frame.picture.convert("L").resize((1, 1)).getpixel((0, 0)) for frame in frames]
    assert brightness == sorted(brightness, reverse=True)


def test_frames_go_as_jpeg_and_may_be_shrunk(
    make_client, scripted: ScriptedServer, video: Path
) -> None:
    scripted.then = answers(width=112, height=75)
    (frame, *_) = make_client(scripted.url).detect_video(video, every=12, max_side=112)
    assert all(asked.body.startswith(b"\xff\xd8") for asked in scripted.asked)
    assert (frame.result.width, frame.result.height) == (448, 300)
    assert tuple(frame.result.detections[0].box) == (40, 80, 120, 160)


def test_only_so_many_frames_are_in_flight(
    make_client, scripted: ScriptedServer, video: Path
) -> None:
    frames = make_client(scripted.url).detect_video(video, concurrency=2)
    assert next(frames).index == 0
    frames.close()
    assert len(scripted.asked) <= 2 * _ordered.AHEAD + 1


def test_what_goes_wrong_is_raised(make_client, scripted: ScriptedServer, video: Path) -> None:
    scripted.then = refuses(404, "model_not_found", False)
    client = make_client(scripted.url)
    with pytest.raises(Exception, match="model_not_found"):
        list(client.detect_video(video))
    with pytest.raises(ValueError, match="concurrency"):
        client.detect_video(video, concurrency=0)
    with pytest.raises(ValueError, match="every"):
        client.detect_video(video, every=0)


def test_without_a_decoder_a_line_says_what_to_install(
    make_client, scripted: ScriptedServer, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("av", "cv2"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtra, match="pip install av"):
        make_client(scripted.url).detect_video(video)
