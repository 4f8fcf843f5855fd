"""A run that was interrupted goes on, and a journal never loses what it has."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from boxport_client import JournalError
from boxport_client._journal import Journal

from tests.clients.python.scripted import ScriptedServer, answers, refuses

ASKED = {"call": "detect"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight files in the folder "photos", two of them in a folder of their own."""
    for number in range(8):
        path = tmp_path / "photos" / ("x" if number > 5 else "") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(number).encode())
    return tmp_path / "photos"


def bodies(scripted: ScriptedServer) -> list[str]:
    taken = sorted(asked.body.decode() for asked in scripted.asked)
    scripted.asked.clear()
    return taken


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_answered_is_not_asked_again(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    scripted.then = lambda handler: answers(width=100 + int(handler.body))(handler)
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    first = list(client.detect_many(folder, journal=journal))
    assert bodies(scripted) == list("01234567")
    assert len(lines(journal)) == 9
    again = list(client.detect_many(folder, journal=str(journal)))
    assert bodies(scripted) == []
    assert again == first
    assert [outcome.result.width for outcome in again] == list(range(100, 108))


def test_a_run_goes_on_where_it_was_stopped(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    outcomes = client.classify_many(folder, journal=journal, concurrency=1)
    next(outcomes)
    next(outcomes)
    outcomes.close()
    done = len(bodies(scripted))
    assert 2 <= done < 8
    written = len(lines(journal)) - 1
    assert 2 <= written <= done
    assert [o.ok for o in client.classify_many(folder, journal=journal)] == [True] * 8
    assert len(bodies(scripted)) == 8 - written
    assert len({line["photo"] for line in lines(journal)[1:]}) == len(lines(journal)) - 1 == 8


def test_failures_are_tried_again(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url, retries=0), tmp_path / "journal.jsonl"
    scripted.script = [refuses(503, "overloaded", True)] * 3
    outcomes = list(client.detect_many(folder, journal=journal, concurrency=1))
    assert [outcome.ok for outcome in outcomes] == [False] * 3 + [True] * 5
    bodies(scripted)
    assert all(outcome.ok for outcome in client.detect_many(folder, journal=journal))
    assert bodies(scripted) == ["0", "1", "2"]


def test_a_photo_that_has_changed_is_asked_again(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    list(client.detect_many(folder, journal=journal))
    bodies(scripted)
    (folder / "3.jpg").write_bytes(b"33")
    os.utime(folder / "5.jpg", ns=(1, 1))
    list(client.detect_many(folder, journal=journal))
    assert bodies(scripted) == ["33", "5"]


def test_a_folder_may_be_moved(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    list(client.detect_many(folder, journal=journal))
    bodies(scripted)
    moved = folder.rename(tmp_path / "elsewhere")
    assert len(list(client.detect_many(moved, journal=journal))) == 8
    assert bodies(scripted) == []


def test_bytes_and_urls_are_recognised_and_pictures_are_not(
    make_client, scripted: ScriptedServer, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    given = [b"1", bytearray(b"2"), "http://a.example/cat.jpg"]
    list(client.detect_many(given, journal=journal))
    assert len(bodies(scripted)) == 3
    list(client.detect_many(given, journal=journal))
    assert bodies(scripted) == []
    picture = np.zeros((4, 4, 3), np.uint8)
    known, unknown = client.detect_many([b"1", picture], journal=journal)
    assert known.ok
    assert "a ndarray could not be recognised" in str(unknown.error)
    assert bodies(scripted) == []


def test_a_journal_with_other_parameters_is_refused(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    asked = {"score_threshold": 0.5, "labels": ("cat",), "max_side": 640, "tile": 320}
    list(client.detect_many(folder, journal=journal, **asked))
    before = journal.read_bytes()
    for other in (
        {"score_threshold": np.float32(0.25)},
        {"labels": ["dog"]},
        {"max_side": 320},
        {"tile": 640},
        {"overlap": 0.3},
    ):
        with pytest.raises(JournalError, match="of a run with other parameters") as caught:
            client.detect_many(folder, journal=journal, **{**asked, **other})
        assert "\n" not in str(caught.value)
    with pytest.raises(JournalError, match="of a run with other parameters"):
        client.classify_many(folder, journal=journal)
    client.detect_many(folder, journal=journal, **asked, concurrency=9, timeout=3)
    assert journal.read_bytes() == before


def test_half_a_line_is_dropped(tmp_path: Path) -> None:
    """However many bytes of the last line the kill let through."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, ASKED)
    journal.write("a", {"n": 1})
    whole = path.read_bytes()
    journal.write("b", {"n": 2})
    journal.close()
    longer = path.read_bytes()
    for size in range(len(whole), len(longer)):
        path.write_bytes(longer[:size])
        journal = Journal(path, ASKED)
        assert (journal.answer("a"), journal.answer("b")) == ({"n": 1}, None)
        journal.write("c", {"n": 3})
        assert journal.answer("c") == {"n": 3}
        journal.close()
        assert path.read_bytes().startswith(whole)
        assert len(lines(path)) == 3


def test_half_a_first_line_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, ASKED).close()
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        Journal(path, ASKED).close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [
        b"my notes",
        b"my notes\nof years\n",
        b'{"a": 1}\n',
        b"[1]\n",
        b'{"boxport_journal":9,"asked":{}}\n',
        b'{"boxport_journal":1,"asked":{"call":"detect"}}\ndamaged\n{"photo":"a","result":{}}\n',
        b'{"boxport_journal":1,"asked":{"call":"detect"}}\n{"no":"photo"}\n',
    ],
)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"notes\.txt: ") as caught:
        Journal(path, ASKED)
    assert path.read_bytes() == content
    assert "\n" not in str(caught.value)


def test_a_journal_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        Journal(tmp_path / "no" / "journal", ASKED)
    with pytest.raises(JournalError, match="directory"):
        Journal(tmp_path, ASKED)


def test_an_answer_that_comes_after_the_end_is_left_out(tmp_path: Path) -> None:
    """One that a closed run still had on its way."""
    journal = Journal(tmp_path / "journal.jsonl", ASKED)
    journal.write("a", {"n": 1})
    journal.close()
    before = (tmp_path / "journal.jsonl").read_bytes()
    journal.write("b", {"n": 2})
    assert (tmp_path / "journal.jsonl").read_bytes() == before
    assert len(before.splitlines()) == 2


def test_a_journal_that_can_grow_no_more_ends_the_run_and_is_told_of(
    make_client, scripted: ScriptedServer, folder: Path, tmp_path: Path
) -> None:
    client, journal = make_client(scripted.url), tmp_path / "journal.jsonl"
    outcomes = client.detect_many(folder, journal=journal, concurrency=1)
    next(outcomes)
    resource = pytest.importorskip("resource")  # Windows has none
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(JournalError, match="File too large"):
            list(outcomes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all(outcome.ok for outcome in client.detect_many(folder, journal=journal))
    assert len({line["photo"] for line in lines(journal)[1:]}) == 8
