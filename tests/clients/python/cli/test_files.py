"""What needs no process: photos by their names, files that are whole, and places of pictures."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest
from boxport_client.cli._atomic_file import AtomicFile, put_in_place
from boxport_client.cli._bench_report import bar
from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._pictures import places
from boxport_client.cli._sources import Source, find_sources


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.jpg", "a/b/1.JPG", "a/b/2.png", "a/.c/3.jpg", "a/n.txt", "c[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(*given: str, leave_out: Path | None = None) -> list[str]:
    return [source.name for source in find_sources(given, leave_out)]


def test_folders_globs_and_files(here: Path) -> None:
    assert names("a") == ["a/1.jpg", "a/b/1.JPG", "a/b/2.png"]
    assert names("a/*") == ["a/1.jpg", "a/b/1.JPG", "a/b/2.png"]
    assert names("a/**/*.png") == ["a/b/2.png"]
    assert names("a/*.txt") == ["a/n.txt"]
    assert names("c[1].jpg") == ["c[1].jpg"]  # a file, whatever it looks like
    assert names("a/n.txt", "missing.jpg") == ["a/n.txt", "missing.jpg"]
    assert names("a/b/2.png", "a", "./a/1.jpg") == ["a/b/2.png", "a/1.jpg", "a/b/1.JPG"]
    assert names("a", leave_out=Path("a/b")) == ["a/1.jpg"]
    assert names("a/b", leave_out=Path("a")) == ["a/b/1.JPG", "a/b/2.png"]


def test_files_passed_over_are_counted_by_suffix_and_once(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("a/b/film.MOV", "a/b/README", "a/.hidden", "a/out/x.csv"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_bytes(b"x")
    find_sources(["a", "a/b", "a/b/*", "a/n.txt"], leave_out=Path("a/out"))
    told = capsys.readouterr()
    assert told.out == ""
    assert sorted(told.err.strip().removeprefix("passed over 3 files: ").split(", ")) == [
        "1 .mov",
        "1 .txt",
        "1 without a suffix",
    ]
    find_sources(["a/1.jpg", "a/n.txt", "a/b/*.png"])
    assert capsys.readouterr().err == ""


def test_what_files_made_of_them_are_called(here: Path) -> None:
    inner = {source.name: source.inner for source in find_sources(["a/**/*.png", "c[1].jpg"])}
    assert inner == {"a/b/2.png": PurePath("b/2.png"), "c[1].jpg": PurePath("c[1].jpg")}
    (url,) = find_sources(["http://host/x/my%20cat.jpg?size=1"])
    assert url.inner == PurePath("my cat.jpg")
    assert url.path is None


def source(name: str, inner: str | None = None) -> Source:
    return Source(name, PurePath(inner or name), name)


def test_no_two_pictures_in_one_place(here: Path) -> None:
    given = [
        source("x/cat.jpg", "cat.jpg"),
        source("y/cat.jpg", "cat.jpg"),
        source("z/CAT.jpg", "CAT.jpg"),
        source("cat.heic"),
        source("photo.jfif"),
        source("cat.png"),
        Source("-", PurePath("stdin"), b"..."),
    ]
    assert [str(place) for place in places(Path("d"), given).values()] == [
        "d/cat.jpg",
        "d/cat-2.jpg",
        "d/CAT-3.jpg",
        "d/cat.png",
        "d/photo.jfif",
        "d/cat-2.png",
        "d/stdin.png",
    ]
    (out,) = places(Path("d"), [source("../../x.jpg")]).values()
    assert out == Path("d/x.jpg")


def test_photos_are_not_drawn_over_however_they_are_called(here: Path) -> None:
    (here / "link").symlink_to(here / "a")
    os.link(here / "a" / "1.jpg", here / "hard.jpg")
    for folder, photo in (("a", "a/1.jpg"), ("link", "a/1.jpg"), ("a", "hard.jpg")):
        with pytest.raises(CommandError, match="is one of the photos"):
            places(Path(folder), [source(photo, "1.jpg")])
    assert places(Path("d"), [source("a/1.jpg", "1.jpg")])


def test_a_file_is_whole_or_as_it_was(here: Path) -> None:
    path = here / "f"
    path.write_text("before")
    path.chmod(0o640)
    (here / "link").symlink_to("f")
    with AtomicFile(here / "link") as file:
        file.write("half")
        assert path.read_text() == "before"
    assert path.read_text() == "before"
    with AtomicFile(here / "link") as file:
        file.write("w\udcffhole")  # as Python reads a name that is no UTF-8
        file.commit()
    assert path.read_bytes() == b"w\xffhole"
    assert path.stat().st_mode & 0o777 == 0o640
    assert (here / "link").is_symlink()
    with pytest.raises(IsADirectoryError):
        AtomicFile(here / "a")
    assert not list(here.glob(".*.partial"))


def test_a_pipe_is_written_to(here: Path) -> None:
    os.mkfifo(here / "pipe")
    reader = os.open(here / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with AtomicFile(here / "pipe") as file:
        file.write("text")
        file.commit()
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert (here / "pipe").is_fifo()


def test_what_fails_is_not_put_in_place(here: Path) -> None:
    (here / "f").write_text("before")

    def fail() -> None:
        with put_in_place(here / "f") as aside:
            aside.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (here / "f").read_text() == "before"
    assert not list(here.glob(".*.partial"))


def test_bars() -> None:
    assert bar(10, 10, 4) == "████"
    assert bar(5, 10, 4) == "██"
    assert bar(0.1, 10, 4) == "▏"  # what is there is seen
    assert bar(0, 10, 4) == ""
    assert bar(0, 0, 4) == ""
