"""Photos on disk are found by their suffixes and read as the service reads them."""

from pathlib import Path

import pytest

from export.evaluation.photo_set import find_photos
from service.imaging.files import PhotoError
from tests.models.datasets.made import MADE, photos


def test_a_folders_photos_are_found_and_other_files_counted(tmp_path: Path) -> None:
    for name in ("b.jfif", "a.AVIF", "c.gif", "notes.txt", "phone.heic", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    notes: list[str] = []
    assert [path.name for path in find_photos(tmp_path, notes.append)] == [
        "a.AVIF",
        "b.jfif",
        "c.gif",
    ]
    assert notes == [f"{tmp_path}: passed over 2 files: 1 .txt, 1 .heic"]


@pytest.mark.parametrize("name", ["Ultralytics", "Roboflow COCO", "VOC, nested"])
def test_of_a_data_set_those_to_measure_on_are_found(tmp_path: Path, name: str) -> None:
    MADE[name].make(tmp_path)
    notes: list[str] = []
    assert [path.stem for path in find_photos(tmp_path, notes.append)] == ["d"]
    assert len(notes) == 1


def test_of_class_folders_those_to_measure_on_are_found(tmp_path: Path) -> None:
    for split in ("train", "val"):
        photos(tmp_path / split / "cat", {split: []})
    assert [path.stem for path in find_photos(tmp_path)] == ["val"]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"holds no photo \(\.avif, \.bmp, "):
        find_photos(tmp_path)
    photos(tmp_path / "cat", {"a": []})
    assert [path.stem for path in find_photos(tmp_path)] == ["a"]
    (tmp_path / "notes").mkdir()  # then it is no class of photos alone
    with pytest.raises(PhotoError, match=r"nor is it a data set: .* There is: cat/, notes/"):
        find_photos(tmp_path)
