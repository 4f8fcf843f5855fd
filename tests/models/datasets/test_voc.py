"""PASCAL VOC's files are read as they stand; what is wrong in them is listed and left out."""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from models.datasets.content import Annotations, Categories, DataError, Fault, Reading
from models.datasets.voc import read_voc
from models.evaluation import BoxRow, evaluate_detections
from tests.models.datasets.objects import boxes_of


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


def read_split(
    folder: Path, split: str | None, categories: Categories | None = None
) -> Reading[Annotations]:
    listed = None if split is None else folder / "ImageSets" / "Main" / f"{split}.txt"
    return read_voc(folder / "Annotations", folder / "JPEGImages", listed, categories)


def test_voc_boxes_count_from_one_and_include_their_last_pixel(tmp_path: Path) -> None:
    head = "<part><name>head</name><bndbox><xmin>20</xmin></bndbox></part>"
    xml = voc_xml(
        voc_object("person", (11, 21, 40, 60), head),
        voc_object("cat & dog", (1, 1, 100, 80)),
        voc_object("dog", ("5.5", 7, "5.6", 7)),
    )
    reading = read_split(make_voc(tmp_path, {"2007_000027": xml}), "train")
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
    training = read_split(tmp_path, "train").annotations
    ids = [photo.image_id for photo in training.photos]
    assert len(set(ids)) == 4
    assert all(0 <= number < 2**48 for number in ids)
    assert read_split(tmp_path, "val").annotations.photos[0].image_id == ids[3]
    assert ids[3] == 146006355998015  # on any machine, at any time
    assert training.to_coco()["images"][3]["id"] == ids[3]


def test_voc_photos_may_have_any_suffix(tmp_path: Path) -> None:
    make_voc(tmp_path, {"a.b": voc_xml()})
    jpg = tmp_path / "JPEGImages" / "a.b.jpg"
    png = jpg.rename(jpg.with_name("a.b.PNG"))
    (tmp_path / "JPEGImages" / "a.b.txt").touch()
    assert read_split(tmp_path, "train").annotations.photos[0].path == png


def test_a_voc_photo_that_is_missing_is_left_for_the_check(tmp_path: Path) -> None:
    make_voc(tmp_path, {"a": voc_xml()})
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    reading = read_split(tmp_path, "train")
    assert reading.faults == ()
    assert reading.annotations.photos[0].path == tmp_path / "JPEGImages" / "a.jpg"


def test_difficult_objects_are_neither_learned_nor_counted(tmp_path: Path) -> None:
    difficult = voc_object("bus", (21, 21, 29, 29), "<difficult>1</difficult>")
    easy = voc_object("cat", (1, 1, 9, 9), "<difficult>0</difficult>")
    make_voc(tmp_path, {"a": voc_xml(difficult, easy)})
    annotations = read_split(tmp_path, "train").annotations
    assert annotations.categories == ((1, "bus"), (2, "cat"))
    assert [name for name, _ in boxes_of(annotations)["a.jpg"]] == ["cat"]
    image_id = annotations.photos[0].image_id
    measured = evaluate_detections(
        annotations.to_coco(),
        [BoxRow(image_id, 1, (20, 20, 9, 9), 0.9), BoxRow(image_id, 2, (0, 0, 9, 9), 0.8)],
    )
    assert (measured.objects, measured.ap) == (1, pytest.approx(1))
    assert measured.confusion.counts == ((0, 0, 0), (0, 1, 0), (0, 0, 0))


def test_voc_validation_can_have_the_categories_of_training(tmp_path: Path) -> None:
    cat, dog, cow = (voc_object(name, (1, 1, 9, 9)) for name in ("cat", "dog", "cow"))
    make_voc(tmp_path, {"a": voc_xml(cat, dog)})
    make_voc(tmp_path, {"b": voc_xml(dog, cow)}, "val")
    categories = read_split(tmp_path, "train").annotations.categories
    reading = read_split(tmp_path, "val", categories=categories)
    assert reading.annotations.categories == ((1, "cat"), (2, "dog"))
    assert reading.annotations.photos[0].targets.tolist() == [[1, 1]]
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
    reading = read_split(make_voc(tmp_path, {"a": voc_xml(cat, item)}), "train")
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
    reading = read_split(tmp_path, "train")
    (fault,) = reading.faults
    assert (fault.where, fault.kind) == ("b.xml", "bad annotations")
    assert message in fault.message
    assert boxes_of(reading.annotations).keys() == {"a.jpg", "c.jpg"}


def test_a_photo_that_a_split_lists_twice_is_kept_once(tmp_path: Path) -> None:
    make_voc(tmp_path, {"a": voc_xml(), "b": voc_xml()})
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n\n b \na\n")
    reading = read_split(tmp_path, "train")
    assert reading.faults == (Fault("train.txt: a", "duplicate image", "is listed 2 times"),)
    assert [photo.path.stem for photo in reading.annotations.photos] == ["a", "b"]


def test_voc_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Annotations: no such folder"):
        read_split(tmp_path, "train")
    make_voc(tmp_path, {"a": voc_xml()})
    with pytest.raises(DataError, match=r"test\.txt: No such file"):
        read_split(tmp_path, "test")
    make_voc(tmp_path, {}, "empty")
    with pytest.raises(DataError, match=r"empty\.txt: lists no photo"):
        read_split(tmp_path, "empty")
    (tmp_path / "JPEGImages").rename(tmp_path / "Photos")
    with pytest.raises(DataError, match="JPEGImages: no such folder"):
        read_split(tmp_path, "train")


def test_without_a_split_every_file_of_annotations_is_read(tmp_path: Path) -> None:
    make_voc(tmp_path, {"b": voc_xml(voc_object("cat", (1, 1, 9, 9))), "a": voc_xml()})
    (tmp_path / "ImageSets" / "Main" / "train.txt").unlink()
    (tmp_path / "Annotations" / "README.txt").touch()
    reading = read_split(tmp_path, None)
    assert [photo.path.name for photo in reading.annotations.photos] == ["a.jpg", "b.jpg"]
    assert reading.annotations.categories == ((1, "cat"),)
    for path in (tmp_path / "Annotations").glob("*.xml"):
        path.unlink()
    with pytest.raises(DataError, match="Annotations: holds no XML file"):
        read_split(tmp_path, None)
