"""Ctrl-C, and a reader that goes away, in the midst of many photos."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.python.scripted import answers, hangs, waits

BOXPORT = Path(sys.executable).parent / "boxport"
PHOTOS = 60


@pytest.fixture
def many(boxport, photos: Path) -> Path:
    folder = boxport.folder / "many"
    folder.mkdir()
    for number in range(PHOTOS):
        shutil.copy(photos / "cat.jpg", folder / f"{number:03}.jpg")
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_is_left(asking, many: Path, number: int) -> None:
    files = ("--coco", "c.json", "--csv", "c.csv", "--save", "drawn", "--journal", "j")
    running = asking.start("detect", "many", *files)
    first = b"".join(running.stdout.readline() for _ in range(5))
    running.send_signal(number)
    rest, errors = running.communicate(timeout=60)
    done = [json.loads(line) for line in (first + rest).splitlines()]
    assert running.returncode == 128 + number
    assert 5 <= len(done) < PHOTOS
    left = PHOTOS - len(done)
    assert errors.decode() == f"error: interrupted: {left} photos of {PHOTOS} not sent\n"
    images = json.loads((asking.folder / "c.json").read_text())["images"]
    rows = (asking.folder / "c.csv").read_text().splitlines()[1:]
    names = [line["photo"] for line in done]
    assert [f"many/{image['file_name']}" for image in images] == names
    assert [row.split(",")[0] for row in rows] == names  # one cat a photo
    pictures = sorted((asking.folder / "drawn").iterdir())
    assert [f"many/{picture.name}" for picture in pictures] == names
    Image.open(pictures[-1]).load()
    assert not list(asking.folder.rglob("*.partial"))
    if number == signal.SIGINT:
        again = asking("detect", "many", *files)
        assert again.returncode == 0
        assert len(again.stdout.splitlines()) == PHOTOS
        assert again.stdout.startswith(first + rest)  # of the journal, ids and times included


def test_in_a_terminal(asking, many: Path) -> None:
    has_begun = re.compile(rf"[1-9]\d?/{PHOTOS}").search
    status, shown = asking.in_terminal("detect", "many", until=has_begun)
    assert status == 130
    assert " answered; " in shown
    assert "error:" in shown
    assert "interrupted: " in shown
    assert "many/000.jpg" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("times", [1, 2])
def test_a_service_that_hangs_does_not_hold_it(boxport, many: Path, scripted, times: int) -> None:
    scripted.script = [answers(451, 300)]
    scripted.then = hangs
    running = boxport.start("detect", "many", "--url", scripted.url, "--concurrency", 1)
    running.stdout.readline()
    while len(scripted.asked) < 2:
        time.sleep(0.01)
    begun = time.monotonic()
    for _ in range(times):
        running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert len(errors.splitlines()) == 1
    assert running.returncode == 130
    assert time.monotonic() - begun < 10


def test_a_line_is_out_as_soon_as_its_answer_is_in(boxport, many: Path, scripted) -> None:
    scripted.then = waits(0.2, answers())
    words = ("detect", "many/000.jpg", "many/001.jpg", "many/002.jpg", "--concurrency", 1)
    running = boxport.start(*words, "--url", scripted.url)
    running.stdout.readline()
    assert running.poll() is None
    assert len(scripted.asked) < 3
    running.communicate(timeout=20)


def test_a_reader_that_goes_away(asking, many: Path) -> None:
    running = asking.start("detect", "many", "--csv", "c.csv")
    running.stdout.readline()
    running.stdout.close()
    assert running.wait(60) == 141
    with running.stderr as stderr:
        assert stderr.read() == b""
    assert len((asking.folder / "c.csv").read_text().splitlines()) > 1


def test_a_full_disk_is_said_in_a_line(asking, many: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is Linux's")
    with full.open("wb") as stdout:
        done = subprocess.run(
            [BOXPORT, "detect", "many"],
            cwd=asking.folder,
            env=asking.environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")
    assert b"No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1
