"""COCO files are read as they stand; their faults are in test_coco_faults.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools.coco import COCO

from models.datasets.coco import read_coco
from models.datasets.content import DataError
from tests.models.datasets.coco_content import GOOD_BOXES, Content, coco_content, read_content
from tests.models.datasets.objects import boxes_of


def test_coco_is_read_with_its_categories_in_the_order_of_their_ids(tmp_path: Path) -> None:
    reading = read_content(tmp_path, coco_content())
    assert reading.faults == ()
    assert reading.annotations.categories == ((3, "cat"), (9, "dog"))
    assert boxes_of(reading.annotations) == GOOD_BOXES
    photo = reading.annotations.photos[1]
    assert (photo.image_id, photo.width, photo.height) == (4, 60, 60)
    assert photo.path == tmp_path / "more" / "b.jpg"


OUTLINE = {"size": [80, 100], "counts": [10 * 80 + 20, 40, 40, 40, 7060]}  # two columns


@pytest.mark.parametrize(
    ("change", "ignored"),
    [
        ({}, [(10, 20, 40, 60)]),
        ({"bbox": None, "segmentation": OUTLINE}, [(10.0, 20.0, 12.0, 60.0)]),
        ({"bbox": [90, 70, 40, 40]}, []),
        ({"bbox": None}, []),
        ({"bbox": None, "segmentation": {"size": 7, "counts": "?"}}, []),
        ({"image_id": None}, []),
        ({"image_id": 99}, []),
        ({"category_id": 99}, []),
    ],
    ids=[
        "as it is",
        "an outline alone",
        "outside the photo",
        "without a box",
        "a damaged outline",
        "without an image",
        "of an unknown image",
        "of an unknown category",
    ],
)
@pytest.mark.parametrize("iscrowd", [1, "1", True])
def test_crowds_are_not_learned_and_are_no_fault(
    tmp_path: Path, change: Content, ignored: list[Any], iscrowd: object
) -> None:
    content = coco_content()
    content["annotations"][0].update(iscrowd=iscrowd, **change)
    reading = read_content(tmp_path, content)
    assert reading.faults == ()
    assert [name for name, _ in boxes_of(reading.annotations)["a.jpg"]] == ["dog"]
    photo = next(p for p in reading.annotations.photos if p.image_id == 7)
    assert [thing.box for thing in photo.objects if thing.ignored] == ignored


def test_a_photo_without_objects_is_kept(tmp_path: Path) -> None:
    content = coco_content()
    del content["annotations"][1]
    photo = read_content(tmp_path, content).annotations.photos[1]
    assert photo.boxes.shape == (0, 4)
    assert photo.targets.shape == (0, 2)


def test_a_box_that_sticks_out_by_a_pixel_is_clipped(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"][1]["bbox"] = [-1, -0.5, 61.5, 61.5]
    reading = read_content(tmp_path, content)
    assert reading.faults == ()
    assert boxes_of(reading.annotations)["b.jpg"] == [("dog", [0.0, 0.0, 60.0, 60.0])]


def test_whole_numbers_may_be_written_with_a_point(tmp_path: Path) -> None:
    content = coco_content()
    content["images"][1].update(id=4.0, width=60.0)
    reading = read_content(tmp_path, content)
    assert reading.faults == ()
    assert boxes_of(reading.annotations) == GOOD_BOXES


def test_validation_has_categories_of_training_by_id_and_name(tmp_path: Path) -> None:
    file = tmp_path / "val.json"
    file.write_text(json.dumps(coco_content()))
    more = ((1, "ant"), (3, "cat"), (9, "dog"))
    reading = read_coco(file, tmp_path, more)
    assert reading.faults == ()
    assert reading.annotations.categories == more
    assert boxes_of(reading.annotations) == GOOD_BOXES
    with pytest.raises(DataError, match=r"category 9 is 'dog', an id that does not exist.*\(cat\)"):
        read_coco(file, tmp_path, ((3, "cat"),))
    with pytest.raises(DataError, match=r"category 3 is 'cat', an id that is 'dog' among the exp"):
        read_coco(file, tmp_path, ((3, "dog"), (9, "cat")))
    content = coco_content()
    content["categories"].append({"id": 77, "name": "animals"})  # nothing is of it
    file.write_text(json.dumps(content))
    assert read_coco(file, tmp_path, more).annotations.categories == more


def test_a_category_without_a_name_and_one_of_anothers_are_told(tmp_path: Path) -> None:
    content = coco_content()
    content["categories"] += [{"id": 0, "name": "cat"}, {"id": 5, "name": " "}]
    reading = read_content(tmp_path, content)
    assert [(str(fault), fault.kind) for fault in reading.faults] == [
        (
            "train.json: category 0: is called 'cat' as category 3 is; its objects are taken for"
            " those",
            "duplicate category",
        ),
        ("train.json: category 5: has no name, and 0 objects", "bad category"),
    ]
    assert reading.annotations.categories == ((3, "cat"), (9, "dog"))
    content["annotations"][0]["category_id"] = 0  # of two that have objects, the first
    assert boxes_of(read_content(tmp_path, content).annotations) == GOOD_BOXES
    content["annotations"][0]["category_id"] = 5
    assert read_content(tmp_path, content).faults[-1].kind == "unknown class"
    content["categories"] = [{"id": 5, "name": ""}]
    with pytest.raises(DataError, match="no category has a name"):
        read_content(tmp_path, content)


def test_numbers_that_are_texts_are_read_and_counted(tmp_path: Path) -> None:
    content = coco_content()
    content["images"][0]["id"] = "7"
    content["annotations"][0].update(image_id="7", iscrowd="0", area="11.5")
    content["annotations"][2].update(iscrowd="0", area="much")
    reading = read_content(tmp_path, content)
    assert reading.faults == ()
    assert boxes_of(reading.annotations) == GOOD_BOXES
    assert reading.notes == (
        "train.json: in 1 images 'id' is a text, read as a number",
        "train.json: in 1 annotations 'image_id' is a text, read as a number",
        "train.json: in 2 annotations 'iscrowd' is a text, read as a number",
        "train.json: in 2 annotations 'area' is a text, read as a number",
    )
    areas = [row["area"] for row in reading.annotations.to_coco()["annotations"]]
    assert areas == [11.5, 20 * 10.25, 3600]


def test_outlines_are_kept_and_give_boxes_that_are_missing(tmp_path: Path) -> None:
    content = coco_content()
    triangle = [10, 20, 40, 20, 40, 60.0]
    content["annotations"][0].update(segmentation=[triangle])
    del content["annotations"][0]["bbox"]
    content["annotations"][1].update(segmentation=[[1, 2, 3], ["x"]])  # no outline, and a box
    annotations = read_content(tmp_path, content).annotations
    assert boxes_of(annotations) == GOOD_BOXES
    outlines = [thing.outline for photo in annotations.photos for thing in photo.objects]
    assert [x if x is None else x[0].ravel().tolist() for x in outlines] == [triangle, None, None]
    rows = annotations.to_coco()["annotations"]
    assert [row.get("segmentation") for row in rows] == [[triangle], None, None]


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "images/a.jpg",
        "images\\a.jpg",
        "C:\\Users\\me\\a.jpg",
        "/home/me/upload/1/a.jpg",
        "../../label-studio/data/media/upload/1/a.jpg",
    ],
)
@pytest.mark.parametrize("place", ["", "images", "train", "images/train"])
def test_photos_are_found_by_the_end_of_their_path(tmp_path: Path, name: str, place: str) -> None:
    photo = tmp_path / place / "a.jpg"
    photo.parent.mkdir(parents=True, exist_ok=True)
    photo.touch()
    content = coco_content()
    content["images"][0]["file_name"] = name
    file = tmp_path / "instances_train.json"
    file.write_text(json.dumps(content))
    found = read_coco(file).annotations.photos
    assert found[0].path == photo
    assert not found[1].path.exists()


def test_of_equal_names_the_splits_own_photo_is_taken(tmp_path: Path) -> None:
    for place in ("", "val", "val2017"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "a.jpg").touch()
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.write_text(json.dumps(coco_content()))
    assert read_coco(file).annotations.photos[0].path == tmp_path / "val2017" / "a.jpg"


def test_a_size_that_is_not_stated_is_that_of_the_upright_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (80, 100)).save(tmp_path / "a.jpg", exif=exif)
    content = coco_content()
    for image in content["images"]:
        image["width"] = None
        del image["height"]
    reading = read_content(tmp_path, content)
    (photo,) = reading.annotations.photos
    assert (photo.width, photo.height) == (100, 80)
    assert [fault.kind for fault in reading.faults] == ["missing photo"]


def test_annotations_become_coco_and_are_read_back(tmp_path: Path) -> None:
    written = coco_content()
    crowd = {"id": 14, "image_id": 4, "category_id": 3, "bbox": [1, 2, 30, 40], "iscrowd": 1}
    written["annotations"].append(crowd)
    first = read_content(tmp_path, written).annotations
    content = first.to_coco()
    assert [row["id"] for row in content["annotations"]] == [1, 2, 3, 4]
    second = read_content(tmp_path, content).annotations
    assert second.categories == first.categories
    assert boxes_of(second) == boxes_of(first)
    ignored = [thing.box for photo in second.photos for thing in photo.objects if thing.ignored]
    assert ignored == [(1, 2, 31, 42)]
    index = COCO()
    index.dataset = content
    index.createIndex()
    assert index.getCatIds(["dog"]) == [9]
    (row,) = index.loadAnns(index.getAnnIds(imgIds=[7], catIds=[9]))
    assert row["bbox"] == [50.5, 0.0, 20.0, 10.25]
    assert row["area"] == 205.0
    assert row["iscrowd"] == 0
