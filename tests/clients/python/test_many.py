"""Many photos: their order, how many at a time, what goes wrong, and stopping."""

import itertools
import re
import threading
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from boxport_client import InvalidRequest, PhotoError, _ordered, photos_in
from PIL import Image

from tests.clients.python.scripted import ScriptedServer, answers, drops, hangs, refuses, waits

PHOTO = b"a photo"


class Crowd:
    """Notes how many requests are with the server at a time."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.now = self.most = 0
        self._seconds, self._lock = seconds, threading.Lock()

    def __call__(self, handler) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
        answers()(handler)


def by_number(handler) -> None:
    """Answers after a time, and with a width, that the photo's bytes tell; even ones are slow."""
    number = int(handler.body)
    waits(0.03 * (number % 2 == 0), answers(width=1000 + number))(handler)


def first_is_answered(others):
    """A deed that answers the photo "first", whichever request it comes with."""
    return lambda handler: (answers() if handler.body == b"first" else others)(handler)


def test_order_is_kept(make_client, scripted: ScriptedServer) -> None:
    scripted.then = by_number
    given = [str(number).encode() for number in range(30)]
    outcomes = list(make_client(scripted.url).detect_many(given, concurrency=5))
    assert [outcome.photo for outcome in outcomes] == given
    assert [outcome.result.width - 1000 for outcome in outcomes] == list(range(30))
    assert sorted(asked.body for asked in scripted.asked) == sorted(given)


def test_so_many_at_a_time(make_client, scripted: ScriptedServer) -> None:
    crowd = scripted.then = Crowd()
    assert len(list(make_client(scripted.url).classify_many([PHOTO] * 24, concurrency=6))) == 24
    assert crowd.most <= 6
    assert crowd.most >= 4


def test_photos_are_taken_as_outcomes_are(make_client, scripted: ScriptedServer) -> None:
    """An endless iterable, of which only so much is read as is needed."""
    taken = itertools.count()
    given = (PHOTO for _ in taken)
    outcomes = make_client(scripted.url).detect_many(given, concurrency=3)
    assert next(taken) == 0
    for done in range(1, 8):
        assert next(outcomes).ok
        assert next(taken) - 1 <= done + _ordered.AHEAD * 3 + done
    outcomes.close()
    assert len(scripted.asked) <= 8 + _ordered.AHEAD * 3


def test_errors_are_in_the_outcomes(make_client, scripted: ScriptedServer, tmp_path: Path) -> None:
    def deed(handler) -> None:
        verdict = refuses(422, "invalid_image", False) if handler.body == b"bad" else answers()
        verdict(handler)

    scripted.then = deed
    given = [PHOTO, b"bad", tmp_path / "missing.jpg", b"", PHOTO]
    outcomes = list(make_client(scripted.url).detect_many(given))
    assert [outcome.ok for outcome in outcomes] == [True, False, False, False, True]
    kinds = [type(outcome.error) for outcome in outcomes]
    assert kinds == [type(None), InvalidRequest, PhotoError, PhotoError, type(None)]
    assert all((outcome.result is None) == (not outcome.ok) for outcome in outcomes)


def test_errors_of_the_program_are_raised(make_client, scripted: ScriptedServer) -> None:
    client = make_client(scripted.url)
    for given, kind in ((3, TypeError), (PHOTO, TypeError), (Path(__file__), PhotoError)):
        with pytest.raises(kind):
            client.detect_many(given)
    with pytest.raises(PhotoError, match="No such file"):
        client.detect_many("no/such/folder")
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        client.detect_many([], concurrency=0)

    def broken():
        yield PHOTO
        raise RuntimeError("the iterable's own")

    with pytest.raises(RuntimeError, match="the iterable's own"):
        list(client.detect_many(broken()))
    with pytest.raises(TypeError):
        list(client.detect_many([PHOTO], labels=[3.5, object()], model=object, journal=3.5))


class Broken:
    """A caller's own file object."""

    def read(self) -> bytes:
        raise EOFError("the tape is torn")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("http://a.example/\udc80.jpg", r"http://a\.example/\\udc80\.jpg'?: is not a URL"),
        ("\udc80.jpg", "No such file"),
        ("a\0.jpg", "null byte"),
        (Broken(), "the tape is torn"),
        (np.zeros((4, 4), np.float32), "float32"),
        (3, "not int"),
    ],
)
def test_one_bad_photo_does_not_end_the_run(
    make_client, scripted: ScriptedServer, bad: object, words: str
) -> None:
    outcomes = list(make_client(scripted.url).detect_many([PHOTO, bad, PHOTO]))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, PhotoError)
    assert re.search(words, str(outcomes[1].error))


@pytest.mark.parametrize(
    "one",
    [
        np.zeros((30, 40, 3), np.uint8),
        np.zeros((30, 40), np.uint16),
        np.frombuffer(PHOTO, np.uint8),
        Image.new("RGB", (4, 3)),
        BytesIO(PHOTO),
        bytearray(PHOTO),
    ],
    ids=["colour", "grey", "bytes in an array", "picture", "file object", "bytes"],
)
def test_one_photo_is_not_taken_for_many(make_client, scripted: ScriptedServer, one) -> None:
    with pytest.raises(TypeError, match=r"is one photo; give a list of photos"):
        make_client(scripted.url).detect_many(one)


def test_an_array_may_be_several_photos_or_paths(
    make_client, scripted: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    client = make_client(scripted.url)
    assert [one.ok for one in client.detect_many(np.zeros((2, 30, 40, 3), np.uint8))] == [True] * 2
    assert [one.ok for one in client.detect_many(np.array([str(tmp_path / "a.jpg")]))] == [True]


def test_a_folder(make_client, scripted: ScriptedServer, tmp_path: Path) -> None:
    names = ["b.JPG", "a/2.png", "a/10.webp", "z.tiff", "notes.txt", ".hidden.jpg", ".git/x.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    expected = [tmp_path / name for name in ("a/10.webp", "a/2.png", "b.JPG", "z.tiff")]
    listed = photos_in(tmp_path)
    assert (len(listed), list(listed)) == (4, expected)
    assert listed.passed_over == (tmp_path / "notes.txt",)  # hidden files are not even counted
    for folder in (tmp_path, str(tmp_path), listed):
        outcomes = list(make_client(scripted.url).detect_many(folder))
        assert [outcome.photo for outcome in outcomes] == expected


def test_progress_is_told(make_client, scripted: ScriptedServer) -> None:
    told: list = []
    client = make_client(scripted.url)
    list(client.detect_many([PHOTO] * 3, progress=lambda *words: told.append(words)))
    list(client.classify_many(iter([PHOTO]), progress=lambda *words: told.append(words)))
    assert told == [(1, 3), (2, 3), (3, 3), (1, None)]


def test_the_bar(make_client, scripted: ScriptedServer, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("rich")
    list(make_client(scripted.url).detect_many([PHOTO] * 3, progress=True))
    shown = capsys.readouterr()
    assert re.search(r"3/3 photos", shown.err)
    assert shown.out == ""


def test_closing_early_asks_nothing_more(
    make_client, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ordered, "AHEAD", 20)
    scripted.then = waits(0.05, answers())
    outcomes = make_client(scripted.url).detect_many([PHOTO] * 100, concurrency=2)
    assert next(outcomes).ok
    outcomes.close()
    time.sleep(0.3)
    assert len(scripted.asked) <= 8


def test_closing_early_wakes_what_waits_to_try_again(make_client, scripted: ScriptedServer) -> None:
    scripted.then = first_is_answered(refuses(503, "overloaded", True, Retry_After="20"))
    outcomes = make_client(scripted.url).detect_many([b"first"] + [PHOTO] * 9, concurrency=2)
    assert next(outcomes).ok
    begun = time.monotonic()
    outcomes.close()
    assert time.monotonic() - begun < 10


def test_closing_early_does_not_wait_for_a_server_that_hangs(
    make_client, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ordered, "GRACE_SECONDS", 0.2)
    scripted.then = first_is_answered(hangs)
    client = make_client(scripted.url, retries=0)
    outcomes = client.detect_many([b"first"] + [PHOTO] * 9, concurrency=2)
    assert next(outcomes).ok
    begun = time.monotonic()
    outcomes.close()
    assert time.monotonic() - begun < 10
    scripted.released.set()


@pytest.mark.usefixtures("hasty")
def test_a_service_that_breaks_off_now_and_then_loses_nothing(
    make_client, scripted: ScriptedServer
) -> None:
    scripted.script = [drops, answers(), drops, drops, answers(), drops] * 3
    outcomes = list(make_client(scripted.url, retries=20).detect_many([PHOTO] * 20))
    assert [outcome.ok for outcome in outcomes] == [True] * 20
