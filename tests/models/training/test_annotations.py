"""Data sets are read as they stand; what is wrong in them is listed and left out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from pycocotools.coco import COCO

from models.training.annotations import (
    Annotations,
    DataError,
    Fault,
    Reading,
    read_class_folders,
    read_coco,
    read_voc,
)

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


def boxes_of(annotations: Annotations) -> dict[str, list[tuple[str, list[float]]]]:
    """(class, box) of each object by photo."""
    return {
        photo.path.name: [
            (annotations.categories[label][1], box)
            for label, box in zip(photo.labels.tolist(), photo.boxes.tolist(), strict=True)
        ]
        for photo in annotations.photos
    }


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


def test_crowds_are_left_out_and_are_no_fault(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"][0].update(iscrowd=1, bbox=None)
    reading = read_content(tmp_path, content)
    assert reading.faults == ()
    assert [name for name, _ in boxes_of(reading.annotations)["a.jpg"]] == ["dog"]


def test_a_photo_without_objects_is_kept(tmp_path: Path) -> None:
    content = coco_content()
    del content["annotations"][1]
    photo = read_content(tmp_path, content).annotations.photos[1]
    assert photo.boxes.shape == (0, 4)
    assert photo.labels.shape == (0,)


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
        ({"id": "5", "file_name": "c.jpg", "width": 5, "height": 5}, "its 'id' \"5\" is not a who"),
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
            "2 categories have the id 1",
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


def test_validation_must_have_the_categories_of_training(tmp_path: Path) -> None:
    file = tmp_path / "val.json"
    file.write_text(json.dumps(coco_content()))
    assert read_coco(file, tmp_path, ((3, "cat"), (9, "dog"))).faults == ()
    with pytest.raises(DataError, match=r"its categories \(cat, dog\) are not the expected"):
        read_coco(file, tmp_path, ((3, "cat"), (9, "dog"), (10, "cow")))


def test_annotations_become_coco_and_are_read_back(tmp_path: Path) -> None:
    first = read_content(tmp_path, coco_content()).annotations
    content = first.to_coco()
    assert [row["id"] for row in content["annotations"]] == [1, 2, 3]
    second = read_content(tmp_path, content).annotations
    assert second.categories == first.categories
    assert boxes_of(second) == boxes_of(first)
    index = COCO()
    index.dataset = content
    index.createIndex()
    assert index.getCatIds(["dog"]) == [9]
    (row,) = index.loadAnns(index.getAnnIds(imgIds=[7], catIds=[9]))
    assert row["bbox"] == [50.5, 0.0, 20.0, 10.25]
    assert row["area"] == 205.0
    assert row["iscrowd"] == 0


def voc_xml(*objects: str, size: str = "<width>100</width><height>80</height>") -> str:
    return f"<annotation><size>{size}<depth>3</depth></size>{''.join(objects)}</annotation>"


def voc_object(name: str, corners: tuple[Any, ...], extra: str = "") -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{escape(name)}</name><bndbox>{box}</bndbox>{extra}</object>"


def make_voc(folder: Path, files: dict[str, str], split: str = "train") -> Path:
    """The layout of PASCAL VOC; a photo's content does not matter to the reader."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, xml in files.items():
        (folder / "Annotations" / f"{name}.xml").write_text(xml)
        (folder / "JPEGImages" / f"{name}.jpg").touch()
    (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{n}\n" for n in files))
    return folder


def test_voc_boxes_count_from_one_and_include_their_last_pixel(tmp_path: Path) -> None:
    head = "<part><name>head</name><bndbox><xmin>20</xmin></bndbox></part>"
    xml = voc_xml(
        voc_object("person", (11, 21, 40, 60), head),
        voc_object("cat & dog", (1, 1, 100, 80)),
        voc_object("dog", ("5.5", 7, "5.6", 7)),
    )
    reading = read_voc(make_voc(tmp_path, {"2007_000027": xml}), "train")
    assert reading.faults == ()
    annotations = reading.annotations
    assert annotations.categories == ((1, "cat & dog"), (2, "dog"), (3, "person"))
    assert boxes_of(annotations)["2007_000027.jpg"][:2] == [
        ("person", [10.0, 20.0, 40.0, 60.0]),
        ("cat & dog", [0.0, 0.0, 100.0, 80.0]),
    ]
    assert annotations.photos[0].boxes[2].tolist() == pytest.approx([4.5, 6.0, 5.6, 7.0])
    assert annotations.photos[0].path == tmp_path / "JPEGImages" / "2007_000027.jpg"


def test_voc_ids_are_of_the_name_alone(tmp_path: Path) -> None:
    xml = voc_xml(voc_object("cat", (1, 1, 9, 9)))
    names = ["000001", "000012", "12", "b_1"]
    make_voc(tmp_path, dict.fromkeys(names, xml))
    make_voc(tmp_path, {"b_1": xml}, "val")
    training = read_voc(tmp_path, "train").annotations
    ids = [photo.image_id for photo in training.photos]
    assert len(set(ids)) == 4
    assert all(0 <= number < 2**48 for number in ids)
    assert read_voc(tmp_path, "val").annotations.photos[0].image_id == ids[3]
    assert ids[3] == 146006355998015  # on any machine, at any time
    assert training.to_coco()["images"][3]["id"] == ids[3]


def test_voc_photos_may_have_any_suffix(tmp_path: Path) -> None:
    make_voc(tmp_path, {"a.b": voc_xml()})
    jpg = tmp_path / "JPEGImages" / "a.b.jpg"
    png = jpg.rename(jpg.with_name("a.b.PNG"))
    (tmp_path / "JPEGImages" / "a.b.txt").touch()
    assert read_voc(tmp_path, "train").annotations.photos[0].path == png


def test_a_voc_photo_that_is_missing_is_left_for_the_check(tmp_path: Path) -> None:
    make_voc(tmp_path, {"a": voc_xml()})
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    reading = read_voc(tmp_path, "train")
    assert reading.faults == ()
    assert reading.annotations.photos[0].path == tmp_path / "JPEGImages" / "a.jpg"


def test_difficult_objects_are_kept_unless_asked_otherwise(tmp_path: Path) -> None:
    difficult = voc_object("bus", (1, 1, 9, 9), "<difficult>1</difficult>")
    easy = voc_object("cat", (1, 1, 9, 9), "<difficult>0</difficult>")
    make_voc(tmp_path, {"a": voc_xml(difficult, easy)})
    assert len(boxes_of(read_voc(tmp_path, "train").annotations)["a.jpg"]) == 2
    without = read_voc(tmp_path, "train", keep_difficult=False).annotations
    assert [name for name, _ in boxes_of(without)["a.jpg"]] == ["cat"]
    assert without.categories == ((1, "bus"), (2, "cat"))


def test_voc_validation_can_have_the_categories_of_training(tmp_path: Path) -> None:
    cat, dog, cow = (voc_object(name, (1, 1, 9, 9)) for name in ("cat", "dog", "cow"))
    make_voc(tmp_path, {"a": voc_xml(cat, dog)})
    make_voc(tmp_path, {"b": voc_xml(dog, cow)}, "val")
    categories = read_voc(tmp_path, "train").annotations.categories
    reading = read_voc(tmp_path, "val", categories=categories)
    assert reading.annotations.categories == ((1, "cat"), (2, "dog"))
    assert reading.annotations.photos[0].labels.tolist() == [1]
    message = "class cow is not in the categories"
    assert reading.faults == (Fault("b.xml: object 2", "unknown class", message),)


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        (voc_object("dog", (10, 10, 9, 20)), "empty box", "its box is 0 x 11 pixels"),
        (voc_object("dog", (10, 10, 5, 20)), "empty box", "its box is -4 x 11 pixels"),
        (voc_object("dog", (1, 1, 102, 80)), "box outside", "0, 0, 102, 80 (left,"),
        (voc_object("dog", (1, 1, "nan", 80)), "bad box", '<bndbox/xmax> "nan" is not a number'),
        (voc_object("dog", (1, 1, "x", 80)), "bad box", '<bndbox/xmax> "x" is not a number'),
        ("<object><name>dog</name></object>", "bad box", "has no <bndbox/xmin>"),
        ("<object><bndbox/></object>", "bad row", "has no <name>"),
        ("<object><name> </name></object>", "bad row", "has no <name>"),
    ],
)
def test_a_wrong_voc_object_is_listed_and_left_out(
    tmp_path: Path, item: str, kind: str, message: str
) -> None:
    cat = voc_object("cat", (0, 1, 101, 81))  # of a tool that counts from 0, clipped
    reading = read_voc(make_voc(tmp_path, {"a": voc_xml(cat, item)}), "train")
    (fault,) = reading.faults
    assert (fault.where, fault.kind) == ("a.xml: object 2", kind)
    assert message in fault.message
    assert boxes_of(reading.annotations)["a.jpg"] == [("cat", [0.0, 0.0, 100.0, 80.0])]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("", "is not XML (no element found"),
        ("<annotation><size>", "is not XML ("),
        ('<?xml version="1.0" encoding="martian"?><annotation/>', "is not XML (unknown encoding"),
        ("<annotation/>", "has no <size/width>"),
        (voc_xml(size="<width>0</width><height>0</height>"), "is said to have 0 x 0 pixels"),
        (voc_xml(size="<width>9.5</width><height>9</height>"), "is said to have 9.5 x 9 pixels"),
        (voc_xml(size="<width>a</width><height>9</height>"), '<size/width> "a" is not a number'),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_voc_file_costs_only_its_photo(
    tmp_path: Path, xml: str | None, message: str
) -> None:
    good = voc_xml(voc_object("cat", (1, 1, 9, 9)))
    make_voc(tmp_path, {"a": good, "b": xml or "", "c": good})
    if xml is None:
        (tmp_path / "Annotations" / "b.xml").unlink()
    reading = read_voc(tmp_path, "train")
    (fault,) = reading.faults
    assert (fault.where, fault.kind) == ("b.xml", "bad annotations")
    assert message in fault.message
    assert boxes_of(reading.annotations).keys() == {"a.jpg", "c.jpg"}


def test_a_photo_that_a_split_lists_twice_is_kept_once(tmp_path: Path) -> None:
    make_voc(tmp_path, {"a": voc_xml(), "b": voc_xml()})
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n\n b \na\n")
    reading = read_voc(tmp_path, "train")
    assert reading.faults == (Fault("train.txt: a", "duplicate image", "is listed 2 times"),)
    assert [photo.path.stem for photo in reading.annotations.photos] == ["a", "b"]


def test_voc_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: No such file"):
        read_voc(tmp_path, "train")
    make_voc(tmp_path, {"a": voc_xml()})
    with pytest.raises(DataError, match=r"test\.txt: no such split; there are: train"):
        read_voc(tmp_path, "test")
    make_voc(tmp_path, {}, "empty")
    with pytest.raises(DataError, match=r"empty\.txt: lists no photo"):
        read_voc(tmp_path, "empty")
    (tmp_path / "JPEGImages").rename(tmp_path / "Photos")
    with pytest.raises(DataError, match="JPEGImages: no such folder"):
        read_voc(tmp_path, "train")


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


def test_an_empty_class_and_what_is_no_photo_are_listed(tmp_path: Path) -> None:
    make_class_folders(tmp_path, "cat/1.jpg", "dog/notes.txt")
    reading = read_class_folders(tmp_path)
    first, second = reading.faults
    assert (first.where, first.kind) == (str(tmp_path / "dog" / "notes.txt"), "no image")
    assert second == Fault(str(tmp_path / "dog"), "empty class", "holds no photo")
    assert reading.annotations.categories == ((0, "cat"), (1, "dog"))


def test_class_folders_of_validation_can_have_the_classes_of_training(tmp_path: Path) -> None:
    make_class_folders(tmp_path, "dog/1.jpg", "cow/1.jpg")
    reading = read_class_folders(tmp_path, ((0, "cat"), (1, "dog")))
    assert reading.faults == (
        Fault(str(tmp_path / "cow"), "unknown class", "is none of cat, dog"),
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
