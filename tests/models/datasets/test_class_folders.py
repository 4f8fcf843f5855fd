"""Folders of classes are read as they stand; what is wrong in them is listed and left out."""

from pathlib import Path

import pytest

from models.datasets.class_folders import read_class_folders
from models.datasets.content import DataError, Fault


def make_class_folders(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_each_folder_is_a_class(tmp_path: Path) -> None:
    make_class_folders(
        tmp_path,
        "dog/2.JPEG",
        "dog/1.png",
        "cat/deeper/3.jpg",
        "cat/.DS_Store",
        ".cache/4.jpg",
        "README.md",
    )
    reading = read_class_folders(tmp_path)
    assert reading.faults == ()
    assert reading.annotations.categories == ((0, "cat"), (1, "dog"))
    assert [(str(p.path.relative_to(tmp_path)), p.label) for p in reading.annotations.photos] == [
        ("cat/deeper/3.jpg", 0),
        ("dog/1.png", 1),
        ("dog/2.JPEG", 1),
    ]


def test_an_empty_class_is_listed_and_what_is_no_photo_counted(tmp_path: Path) -> None:
    make_class_folders(tmp_path, "cat/1.jfif", "cat/2.heic", "dog/notes.txt", "dog/more.txt")
    reading = read_class_folders(tmp_path)
    assert reading.faults == (Fault(str(tmp_path / "dog"), "empty class", "holds no photo"),)
    assert reading.notes == (f"{tmp_path}: passed over 3 files: 2 .txt, 1 .heic",)
    assert reading.annotations.categories == ((0, "cat"), (1, "dog"))


def test_class_folders_of_validation_can_have_the_classes_of_training(tmp_path: Path) -> None:
    make_class_folders(tmp_path, "dog/1.jpg", "cow/1.jpg")
    reading = read_class_folders(tmp_path, ((0, "cat"), (1, "dog")))
    assert reading.faults == (
        Fault(str(tmp_path / "cow"), "unknown class", "is none of cat, dog, nor the id of one"),
        Fault(str(tmp_path / "cat"), "empty class", "holds no photo"),
    )
    (photo,) = reading.annotations.photos
    assert photo.label == 1


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    make_class_folders(tmp_path, "1.jpg", ".git/2.jpg")
    with pytest.raises(DataError, match="holds no folder of a class"):
        read_class_folders(tmp_path)
    with pytest.raises(DataError, match="train: no such folder"):
        read_class_folders(tmp_path / "train")
