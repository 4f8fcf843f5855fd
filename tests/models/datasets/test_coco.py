"""COCO files are read as they stand; what is wrong in them is listed and left out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools.coco import COCO

from models.datasets.coco import read_coco
from models.datasets.content import Annotations, DataError, Fault, Reading
from models.datasets.rows import Outside
from tests.models.datasets.objects import boxes_of

Content = dict[str, Any]


def coco_content() -> Content:
    """Two photos and three boxes, without a fault."""
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80},
            {"id": 4, "file_name": "more/b.jpg", "width": 60, "height": 60},
        ],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]},
            {"id": 12, "image_id": 4, "category_id": 9, "bbox": [0, 0, 60, 60.0], "iscrowd": 0},
            {"id": 13, "image_id": 7, "category_id": 9, "bbox": [50.5, 0, 20, 10.25]},
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


def read_content(folder: Path, content: Any) -> Reading[Annotations]:
    file = folder / "train.json"
    file.write_text(json.dumps(content))
    return read_coco(file, folder)


GOOD_BOXES = {
    "a.jpg": [("cat", [10.0, 20.0, 40.0, 60.0]), ("dog", [50.5, 0.0, 70.5, 10.25])],
    "b.jpg": [("dog", [0.0, 0.0, 60.0, 60.0])],
}


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


def change(key: str, value: Any) -> Callable[[Content], None]:
    """Sets ``key`` of annotation 12, the only one of b.jpg."""
    return lambda content: content["annotations"][1].__setitem__(key, value)


def remove(key: str) -> Callable[[Content], None]:
    return lambda content: content["annotations"][1].__delitem__(key)


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        (change("category_id", 5), "unknown class", "class 5 is not in the categories"),
        (change("category_id", "dog"), "bad row", "its 'category_id' \"dog\" is not a whole"),
        (change("image_id", 99), "unknown image", "image 99 is not in the images"),
        (change("image_id", [4]), "bad row", "its 'image_id' [4] is not a whole number"),
        (change("bbox", [1, 1, 0, 9]), "empty box", "its box is 0 x 9 pixels"),
        (change("bbox", [9, 9, 1e-7, 9]), "empty box", "its box is 1e-07 x 9 pixels"),
        (change("bbox", [9, 9, 5, -5]), "empty box", "its box is 5 x -5 pixels"),
        (change("bbox", [1, 1, 1, float("nan")]), "bad box", "[1, 1, 1, NaN] is not four numbers"),
        (change("bbox", [1, 1, float("inf"), 1]), "bad box", "[1, 1, Infinity, 1] is not four"),
        (change("bbox", [1, 1, 1, 10**400]), "bad box", "is not four numbers"),
        (change("bbox", [1, 1, 1, "2"]), "bad box", '[1, 1, 1, "2"] is not four numbers'),
        (change("bbox", [1, 1, 1, True]), "bad box", "[1, 1, 1, true] is not four numbers"),
        (change("bbox", [1, 2, 3]), "bad box", "[1, 2, 3] is not four numbers"),
        (change("bbox", None), "bad box", "null is not four numbers"),
        (change("bbox", [30, 0, 32, 9]), "box outside", "30, 0, 62, 9 (left, top, right, bottom)"),
        (change("bbox", [-2, 0, 9, 9]), "box outside", "not within the photo's 60 x 60 pixels"),
        (change("bbox", [60.2, 0, 0.5, 9]), "box outside", "60.2, 0, 60.7, 9"),
        (remove("bbox"), "bad row", "has no key 'bbox'"),
        (remove("image_id"), "bad row", "has no key 'image_id'"),
        (remove("category_id"), "bad row", "has no key 'category_id'"),
    ],
)
def test_a_wrong_annotation_is_listed_and_left_out(
    tmp_path: Path, damage: Callable[[Content], None], kind: str, message: str
) -> None:
    content = coco_content()
    damage(content)
    reading = read_content(tmp_path, content)
    (fault,) = reading.faults
    assert (fault.where, fault.kind) == ("train.json: annotation 12", kind)
    assert message in fault.message
    assert boxes_of(reading.annotations) == {**GOOD_BOXES, "b.jpg": []}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file_name": "c.jpg", "width": 5, "height": 5}, "has no key 'id'"),
        ({"id": "x", "file_name": "c.jpg", "width": 5, "height": 5}, "its 'id' \"x\" is not a who"),
        ({"id": 5, "width": 5, "height": 5}, "has no key 'file_name'"),
        ({"id": 5, "file_name": 5, "width": 5, "height": 5}, "its 'file_name' 5 is not a text"),
        ({"id": 5, "file_name": "c.jpg", "width": 5}, "has no key 'height'"),
        ({"id": 5, "file_name": "c.jpg", "width": 5.5, "height": 5}, "'width' 5.5 is not a whole"),
        ({"id": 5, "file_name": "c.jpg", "width": 0, "height": 5}, "is said to have 0 x 5 pixels"),
        ("c.jpg", "is not a JSON object"),
    ],
)
def test_a_wrong_image_is_listed_once_and_its_boxes_go_with_it(
    tmp_path: Path, row: Any, message: str
) -> None:
    content = coco_content()
    content["images"].append(row)
    if isinstance(row, dict) and row.get("id") == 5:
        box = {"id": 14, "image_id": 5, "category_id": 3, "bbox": [1, 1, 2, 2]}
        content["annotations"].append(box)
    reading = read_content(tmp_path, content)
    (fault,) = reading.faults
    assert fault.kind == "bad row"
    assert fault.where in ("train.json: image 5", "train.json: images[2]")
    assert message in fault.message
    assert boxes_of(reading.annotations) == GOOD_BOXES


def test_whole_numbers_may_be_written_with_a_point(tmp_path: Path) -> None:
    content = coco_content()
    content["images"][1].update(id=4.0, width=60.0)
    reading = read_content(tmp_path, content)
    assert reading.faults == ()
    assert boxes_of(reading.annotations) == GOOD_BOXES


def test_photos_that_share_an_id_are_all_left_out(tmp_path: Path) -> None:
    content = coco_content()
    content["images"].append({"id": 4, "file_name": "c.jpg", "width": 60, "height": 60})
    reading = read_content(tmp_path, content)
    assert [str(fault) for fault in reading.faults] == [
        "train.json: image 4: 2 images have this id, more/b.jpg among them; none is kept",
        "train.json: image 4: 2 images have this id, c.jpg among them; none is kept",
    ]
    assert {fault.kind for fault in reading.faults} == {"duplicate image"}
    assert boxes_of(reading.annotations) == {"a.jpg": GOOD_BOXES["a.jpg"]}


def test_every_fault_is_listed(tmp_path: Path) -> None:
    content = coco_content()
    for row, bbox in zip(content["annotations"], ([9, 9, 0, 0], [99, 0, 9, 9], None), strict=True):
        row["bbox"] = bbox
    content["annotations"].append("x")
    reading = read_content(tmp_path, content)
    assert sorted(fault.kind for fault in reading.faults) == [
        "bad box",
        "bad row",
        "box outside",
        "empty box",
    ]
    assert Fault("train.json: annotations[3]", "bad row", "is not a JSON object") in reading.faults
    assert boxes_of(reading.annotations) == {"a.jpg": [], "b.jpg": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ('{"images": [', "is not JSON"),
        ("[]", "is not a COCO instances file, which is a JSON object"),
        ('{"images": [], "categories": []}', "has no key 'annotations'"),
        ('{"images": {}, "annotations": [], "categories": []}', "'images' is not a list"),
        ('{"images": [], "annotations": [], "categories": []}', "'images' is empty"),
        ('{"images": [{}], "annotations": [], "categories": []}', "'categories' is empty"),
        (
            '{"images": [{}], "annotations": [], "categories": [{"id": 1}]}',
            "categories[0] has no key 'name'",
        ),
        (
            '{"images": [{}], "annotations": [], "categories":'
            ' [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]}',
            "several categories have the id 1",
        ),
    ],
)
def test_a_file_that_is_not_coco_is_refused_in_a_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "train.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_coco(file, tmp_path)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json: No such file"):
        read_coco(tmp_path / "nothing.json", tmp_path)
    with pytest.raises(DataError, match=r"cat\.jpg: is not text in UTF-8"):
        read_coco(photos / "cat.jpg", tmp_path)
    file = tmp_path / "train.json"
    file.write_text(json.dumps(coco_content()), encoding="utf-8-sig")
    assert read_coco(file, tmp_path).faults == ()
    with pytest.raises(DataError, match="images: no such folder"):
        read_coco(file, tmp_path / "images")


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


@pytest.mark.parametrize("outside", ["refuse", "clip", "keep"])
def test_boxes_beyond_the_photo_are_faults_or_clipped_or_kept(
    tmp_path: Path, outside: Outside
) -> None:
    content = coco_content()
    content["annotations"][1]["bbox"] = [-5, 0, 30, 60]
    content["annotations"][2]["bbox"] = [100, 0, 30, 60]  # nothing of it is within
    file = tmp_path / "train.json"
    file.write_text(json.dumps(content))
    reading = read_coco(file, tmp_path, outside=outside)
    kinds = [fault.kind for fault in reading.faults]
    assert kinds == ["box outside"] * {"refuse": 2, "clip": 1, "keep": 0}[outside]
    found = {photo.path.name: photo.boxes.tolist() for photo in reading.annotations.photos}
    assert found["b.jpg"] == ([] if outside == "refuse" else [[0, 0, 25, 60]])
    rows = reading.annotations.to_coco()["annotations"]
    assert [row["bbox"] for row in rows][1:] == {
        "refuse": [],
        "clip": [[-5, 0, 30, 60]],
        "keep": [[100, 0, 30, 60], [-5, 0, 30, 60]],
    }[outside]


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
