"""What is measured on is said by the data, or held out of it, and never trained on."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from models.training.annotations.content import (
    Annotations,
    ClassFolders,
    DataError,
    LabelledPhoto,
    Photo,
)
from models.training.splits import (
    class_layout,
    detection_layout,
    hold_out,
)


def photo(name: str) -> Photo:
    return Photo(0, Path(name), 9, 9, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def names(photos: tuple[Photo, ...]) -> list[str]:
    return [p.path.name for p in photos]


def write_coco(path: Path, file_name: str = "a.jpg") -> None:
    content = {
        "images": [{"id": 1, "file_name": file_name, "width": 9, "height": 9}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path.write_text(json.dumps(content))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        write_coco(tmp_path / f"instances_{split}.json", f"{split}.jpg")
    return tmp_path


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b", "c"):
        size = "<size><width>9</width><height>9</height></size>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}</annotation>")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("c\n")
    return tmp_path


def test_coco_has_two_splits(coco: Path) -> None:
    layout = detection_layout(coco, None)
    assert layout.splits(None) == ("train", "val")
    photos = [layout.read(split, None).annotations.photos[0] for split in ("train", "val")]
    assert [p.path for p in photos] == [coco / "train" / "train.jpg", coco / "val" / "val.jpg"]


def test_voc_has_two_splits(voc: Path) -> None:
    layout = detection_layout(voc, None)
    assert layout.splits(None) == ("train", "val")
    assert names(layout.read("train", None).annotations.photos) == ["a.jpg", "b.jpg"]
    assert names(layout.read("val", None).annotations.photos) == ["c.jpg"]


def test_voc_without_lists_is_read_whole(voc: Path) -> None:
    for path in ((voc / "ImageSets" / "Main").iterdir(), (voc / "ImageSets").iterdir()):
        for entry in list(path):
            entry.unlink() if entry.is_file() else entry.rmdir()
    layout = detection_layout(voc, None)
    assert layout.splits(0.1) == ("train",)
    assert names(layout.read("train", None).annotations.photos) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("folder", [None, "photos"])
def test_a_coco_file_alone_is_read_with_the_photos_beside_it_or_elsewhere(
    tmp_path: Path, folder: str | None
) -> None:
    write_coco(tmp_path / "any.json")
    images = None
    if folder is not None:
        images = tmp_path / folder
        images.mkdir()
    layout = detection_layout(tmp_path / "any.json", images)
    assert layout.splits(0.2) == ("train",)
    (found,) = layout.read("train", None).annotations.photos
    assert found.path == (images or tmp_path) / "a.jpg"


def test_classes_lie_below_train_and_val_or_in_the_folder_itself(tmp_path: Path) -> None:
    for split in ("train", "val", "whole"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / f"{split}.jpg").touch()
    layout = class_layout(tmp_path)
    assert layout.splits(None) == ("train", "val")
    assert names(layout.read("val", None).annotations.photos) == ["val.jpg"]
    whole = class_layout(tmp_path / "whole")
    assert whole.splits(0.1) == ("train",)
    assert names(whole.read("train", None).annotations.photos) == ["whole.jpg"]


def test_without_photos_to_measure_on_the_user_is_told_what_to_do(
    coco: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (coco / "instances_val.json").unlink()
    with pytest.raises(DataError, match=r"no instances_val\.json .* --validation-share 0\.1"):
        detection_layout(coco, None).splits(None)
    assert detection_layout(coco, None).splits(0.1) == ("train",)
    file = coco / "instances_train.json"
    with pytest.raises(DataError, match=r"train\.json: one file .* --validation-share 0\.1"):
        detection_layout(file, None).splits(None)
    with pytest.raises(DataError, match=r"there is no val to measure on.*--validation-share"):
        class_layout(tmp_path_factory.mktemp("classes")).splits(None)


def test_what_cannot_be_meant_is_refused(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances_val\.json has photos to measure on; leave"):
        detection_layout(coco, None).splits(0.1)
    with pytest.raises(DataError, match="--images goes with a COCO file alone"):
        detection_layout(coco, coco / "train")
    with pytest.raises(DataError, match=r"train: has neither instances_train\.json \(COCO\) nor"):
        detection_layout(coco / "train", None)
    with pytest.raises(DataError, match="is a folder, with a folder for every class"):
        class_layout(coco / "instances_train.json")


def annotations(photos: Iterable[Photo]) -> Annotations:
    return Annotations(tuple(photos), ((1, "cat"),))


@pytest.mark.parametrize(
    ("count", "share", "held"), [(2, 0.01, 1), (2, 0.5, 1), (10, 0.1, 1), (40, 0.2, 8), (3, 0.5, 2)]
)
def test_a_share_is_held_out(count: int, share: float, held: int) -> None:
    content = annotations(photo(f"{i}.jpg") for i in range(count))
    training, validation = hold_out(content, share)
    assert training.categories == validation.categories == content.categories
    assert len(validation.photos) == held
    assert sorted(names(training.photos) + names(validation.photos)) == sorted(
        names(content.photos)
    )
    assert [p for p in content.photos if p in validation.photos] == list(validation.photos)


def test_which_photos_are_held_out_follows_from_their_names_alone() -> None:
    photos = [photo(f"{i:06}.jpg") for i in range(1000)]
    validation = hold_out(annotations(photos), 0.1)[1].photos
    moved = annotations(photo(f"elsewhere/{i:06}.jpg") for i in reversed(range(1000)))
    assert set(names(hold_out(moved, 0.1)[1].photos)) == set(names(validation))
    # spread over the whole set, and the same ones when a few photos come or go
    numbers = [int(p.path.stem) for p in validation]
    assert all(
        sum(start <= n < start + 250 for n in numbers) >= 10 for start in range(0, 1000, 250)
    )
    fewer = hold_out(annotations(photos[:950]), 0.1)[1].photos
    assert len(set(names(fewer)) - set(names(validation))) <= 5


def test_of_each_class_a_share_is_held_out() -> None:
    counts = (10, 1, 2, 30)
    photos = tuple(
        LabelledPhoto(Path(f"{label}/{i}.jpg"), label)
        for label, count in enumerate(counts)
        for i in range(count)
    )
    categories = tuple((label, str(label)) for label in range(4))
    training, validation = hold_out(ClassFolders(photos, categories), 0.1)
    held = [sum(p.label == label for p in validation.photos) for label in range(4)]
    assert held == [1, 0, 1, 3]
    assert set(training.photos) | set(validation.photos) == set(photos)
    assert not set(training.photos) & set(validation.photos)


def test_one_photo_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="1 photos are too few"):
        hold_out(annotations([photo("a.jpg")]), 0.5)
