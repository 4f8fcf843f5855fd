"""Local folders; those in an object store are in test_object_store.py."""

import os
from pathlib import Path

import pytest
from pyarrow import fs

from service.bulk.errors import BulkError
from service.bulk.folder import Folder, open_folder
from tests.service.bulk.jobs import write_half


def test_files_are_found_by_name_and_hidden_ones_are_not(here: Folder, tmp_path: Path) -> None:
    for name in ("b/2.jpg", "a.jpg", "b/_MG_1.JPG", ".c/3.jpg", "b/.4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert [(file.name, file.size) for file in here.find()] == [
        ("a.jpg", 5),
        ("b/2.jpg", 5),
        ("b/_MG_1.JPG", 5),
    ]
    assert here.names() == {"a.jpg"}


def test_a_name_that_no_result_could_bear_is_named(here: Folder, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"12345")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"12345")
    with pytest.raises(BulkError, match=r"caf\\xe9.jpg' is not in UTF-8; rename the file"):
        here.find()


def test_what_is_written_appears_at_once(here: Folder, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"old")
    with here.write("part") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "part").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert here.read("part") == b"new"


def test_a_write_that_fails_leaves_what_was_there(here: Folder, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), here.write("part") as file:
        write_half(file)
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    assert here.read("part") == b"old"


def test_what_is_not_there_is_no_error_to_remove(here: Folder) -> None:
    here.remove("nothing")
    assert here.kind("nothing") is fs.FileType.NotFound
    with pytest.raises(FileNotFoundError, match=r"nothing: there is no such file"):
        here.size("nothing")


def test_a_folder_that_is_not_there_yet_has_nothing(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path / "new"))
    assert folder.names() == set()
    assert folder.find() == []
    folder.make()
    assert folder.kind() is fs.FileType.Directory


def test_a_store_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BulkError, match=r"^ftp://host/photos: "):
        open_folder("ftp://host/photos")
