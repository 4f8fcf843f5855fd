"""`boxport video`"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.python.scripted import answers, refuses, waits

av = pytest.importorskip("av")


@pytest.fixture
def film(boxport, photos: Path) -> Path:
    """A second of the cat, in the command's folder."""
    path = boxport.folder / "film.mp4"
    cat = Image.open(photos / "cat.jpg").resize((448, 300))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *cat.size, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_image(cat)))
        container.mux(stream.encode())
    return path


def test_frames_into_a_pipe(asking, film: Path) -> None:
    done = asking("video", "film.mp4", "--every", 5, "--label", "cat", "--save", "frames")
    assert (done.returncode, done.stderr) == (0, b"")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["video"], one["frame"], one["seconds"]) for one in found] == [
        ("film.mp4", 0, 0.0),
        ("film.mp4", 5, 0.5),
    ]
    assert all(one["detections"][0]["label"] == "cat" for one in found)
    pictures = sorted((asking.folder / "frames").iterdir())
    assert [picture.name for picture in pictures] == ["000000.jpg", "000005.jpg"]
    with Image.open(pictures[1]) as picture:
        assert picture.size == (448, 300)


def test_a_second_model_says_what_is_in_each_frame(asking, film: Path) -> None:
    then = ("--then", "efficientnet_lite0_imagenet", "--top-k", 1)
    done = asking("video", "film.mp4", "--every", 10, *then)
    (frame,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert "cat" in frame["detections"][0]["classifications"][0]["label"]
    assert frame["then"]["name"] == "efficientnet_lite0_imagenet"


def test_frames_in_a_terminal(asking, film: Path) -> None:
    status, shown = asking.in_terminal("video", "film.mp4", "--every", 5)
    assert status == 0
    first, second, summary = shown.splitlines()
    assert first.split() == ["0.00", "s", "1", "cat"]
    assert second.split() == ["0.50", "s", "1", "cat"]
    assert summary.startswith("2 frames; 2 cat; ")


def test_what_is_no_video(boxport, film: Path, scripted) -> None:
    (boxport.folder / "7").write_bytes(b"no video")  # nor is it a camera
    for name, words in (("none.mp4", b"none.mp4: No such file"), ("7", b"7: cannot be read as")):
        done = boxport("video", name, "--url", scripted.url)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b"error: " + words)
    scripted.then = refuses(401, "unauthenticated", False)
    done = boxport("video", "film.mp4", "--url", scripted.url)
    assert done.returncode == 3
    assert done.stderr == b"error: 401 unauthenticated: No.\n"


def test_ctrl_c_keeps_what_is_done(boxport, film: Path, scripted) -> None:
    scripted.then = waits(0.3, answers(width=448, height=300))
    running = boxport.start("video", "film.mp4", "--url", scripted.url, "--concurrency", 1)
    first = json.loads(running.stdout.readline())
    running.send_signal(signal.SIGINT)
    rest, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert first["frame"] == 0
    assert errors.decode().startswith("error: interrupted after ")
    assert all(json.loads(line)["detections"] for line in rest.splitlines())
