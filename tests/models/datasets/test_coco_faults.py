"""What is wrong in a COCO file is listed and left out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.datasets.coco import read_coco
from models.datasets.content import DataError, Fault
from models.datasets.rows import Outside
from tests.models.datasets.coco_content import GOOD_BOXES, Content, coco_content, read_content
from tests.models.datasets.objects import boxes_of


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
