"""Every layout gives the same photos; what is none of them is told what was looked for."""

import json
from pathlib import Path

import pytest

from models.datasets.content import DataError
from models.datasets.layouts import (
    CLASS_LAYOUTS,
    LAYOUTS,
    UnknownLayout,
    recognise,
    recognise_classes,
    recognise_coco_files,
    recognise_detection,
)
from tests.models.datasets.made import MADE, NAMES, SPLITS, coco, labelme, photos, voc, write, yolo
from tests.models.datasets.objects import boxes_of


@pytest.mark.parametrize("name", MADE)
def test_every_layout_gives_the_same_photos(tmp_path: Path, name: str) -> None:
    layout = MADE[name]
    layout.make(tmp_path)
    data = recognise_detection(tmp_path)
    assert (data.layout, tuple(split.name for split in data.splits)) == (layout.name, layout.splits)
    assert data.measured() == (data.validation() or data.training())
    categories = None
    for split, rows in zip((data.training(), data.validation()), SPLITS.values(), strict=True):
        if split is None:
            break
        reading = split.read(categories=categories)
        assert reading.faults == ()
        annotations = reading.annotations
        categories = annotations.categories
        assert [c for c in categories if c[1] in NAMES] == list(enumerate(NAMES, layout.first))
        found = {
            Path(photo).stem: [(NAMES.index(kind), *map(round, box)) for kind, box in objects]
            for photo, objects in boxes_of(annotations).items()
        }
        assert found == rows
        assert all(photo.path.is_file() for photo in annotations.photos)
        assert {(photo.width, photo.height) for photo in annotations.photos} == {(40, 30)}


def test_the_table_has_each_layout_that_is_made() -> None:
    assert {made.name for made in MADE.values()} == {layout.name for layout in LAYOUTS}


def test_a_test_split_is_measured_on_where_there_is_no_other(tmp_path: Path) -> None:
    MADE["README"].make(tmp_path)
    (tmp_path / "instances_val.json").rename(tmp_path / "instances_test.json")
    found = recognise_detection(tmp_path).validation()
    assert found is not None
    assert found.name == "test"
    (tmp_path / "instances_train.json").unlink()
    with pytest.raises(DataError, match="COCO, of which test is none to train on"):
        recognise_detection(tmp_path).training()


def test_two_files_for_one_split_are_not_chosen_between(tmp_path: Path) -> None:
    for year in ("2014", "2017"):
        write(tmp_path / "annotations" / f"instances_train{year}.json", coco(SPLITS["train"]))
    with pytest.raises(DataError, match=r"train2014\.json.*train2017\.json are each for train; n"):
        recognise_detection(tmp_path).training()
    for file in (tmp_path / "annotations").iterdir():
        file.rename(file.with_name(file.name.replace("train", "")))
    with pytest.raises(DataError, match="which to train on\\? Name two: --train, --val"):
        recognise_detection(tmp_path)


def test_a_file_is_coco_or_the_yaml_of_yolo(tmp_path: Path) -> None:
    MADE["README"].make(tmp_path)
    data = recognise_detection(tmp_path / "instances_train.json", tmp_path / "train")
    assert [p.path.stem for p in data.training().read().annotations.photos] == ["a", "b", "c"]
    assert data.validation() is None
    with pytest.raises(DataError, match="--images goes with a COCO file alone"):
        recognise_detection(tmp_path, tmp_path / "train")
    MADE["Ultralytics"].make(tmp_path)
    assert recognise_detection(tmp_path / "data.yaml").validation() is not None
    with pytest.raises(DataError, match="--images goes with a COCO file alone"):
        recognise_detection(tmp_path / "data.yaml", tmp_path / "train")
    write(tmp_path / "other.yaml", "key: 1")
    with pytest.raises(DataError, match=r"other\.yaml: is no data\.yaml of YOLO"):
        recognise_detection(tmp_path / "other.yaml")


def test_two_coco_files_are_two_splits(tmp_path: Path) -> None:
    for name, split in (("one", "train"), ("two", "val")):
        photos(tmp_path / "photos", SPLITS[split])
        write(tmp_path / f"{name}.json", coco(SPLITS[split]))
    data = recognise_coco_files(tmp_path / "one.json", tmp_path / "two.json", tmp_path / "photos")
    measured = data.measured().read().annotations
    assert [photo.path for photo in measured.photos] == [tmp_path / "photos" / "d.jpg"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("train/ann/a.jpg.json", "Supervisely"),
        ("annotations.xml", "CVAT for images"),
        ("via_project.json", "VIA"),
        ("train/_annotations.createml.json", "CreateML"),
        ("train/pets.tfrecord", "TFRecord"),
        ("annotations.csv", "a table"),
    ],
)
def test_a_layout_that_is_not_read_is_named_with_the_remedy(
    tmp_path: Path, file: str, name: str
) -> None:
    write(tmp_path / file, "<annotations/>" if file.endswith("xml") else "{}")
    with pytest.raises(DataError, match=rf"is laid out as {name} has it, .*export.* COCO"):
        recognise_detection(tmp_path)


def test_what_is_no_layout_is_told_what_was_looked_for_and_what_lies_there(tmp_path: Path) -> None:
    photos(tmp_path / "pictures", SPLITS["train"])
    write(tmp_path / "notes.md", "")
    write(tmp_path / ".hidden", "")
    with pytest.raises(UnknownLayout) as error:
        recognise_detection(tmp_path)
    for layout in LAYOUTS:
        assert f"{layout.files} ({layout.name})" in str(error.value)
    assert str(error.value).endswith("There is: pictures/, 1 .md")


def test_labels_of_yolo_without_names_are_refused(tmp_path: Path) -> None:
    MADE["Ultralytics"].make(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"neither data\.yaml nor classes\.txt with the names"):
        recognise_detection(tmp_path)


@pytest.mark.parametrize("names", [("train", "val"), ("train", "valid"), ("Train", "validation")])
def test_classes_lie_in_the_folders_of_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    for split in names:
        photos(tmp_path / split / "cat", {split: []})
    data = recognise_classes(tmp_path)
    assert data.training().source == tmp_path / names[0]
    (photo,) = data.measured().read().annotations.photos
    assert photo.path.stem == names[1]


def test_classes_lie_in_the_folder_itself_where_one_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "bus"):
        photos(tmp_path / name, {name: []})
    data = recognise_classes(tmp_path)
    assert data.training().read().annotations.categories == ((0, "bus"), (1, "train"))
    assert data.validation() is None
    assert recognise(tmp_path).layout == CLASS_LAYOUTS[0].name
    with pytest.raises(DataError, match="is a folder, with a folder for every class"):
        recognise_classes(tmp_path / "train" / "train.jpg")


def test_other_text_files_are_no_labels_of_yolo(tmp_path: Path) -> None:
    MADE["VOC, nested"].make(tmp_path)
    write(tmp_path / "classes.txt", "cat\ndog\n")
    assert recognise_detection(tmp_path).layout == "PASCAL VOC"


class TestYolo:
    """Rows of label files are boxes or outlines."""

    def test_outlines_become_boxes_and_are_kept(self, tmp_path: Path) -> None:
        MADE["Ultralytics"].make(tmp_path)
        outline = "1 0.25 0.2 0.75 0.2 0.5 0.8\n"
        write(tmp_path / "labels" / "train" / "c.txt", outline)
        annotations = recognise_detection(tmp_path).training().read().annotations
        assert boxes_of(annotations)["c.jpg"] == [("dog", pytest.approx([10, 6, 30, 24]))]
        (thing,) = annotations.photos[2].objects
        assert thing.outline is not None
        assert thing.outline[0].tolist() == [
            pytest.approx(point) for point in ([10, 6], [30, 6], [20, 24])
        ]

    def test_poses_are_boxes(self, tmp_path: Path) -> None:
        MADE["Ultralytics"].make(tmp_path)
        yaml = (tmp_path / "data.yaml").read_text()
        write(tmp_path / "data.yaml", f"{yaml}\nkpt_shape: [2, 2]")
        write(tmp_path / "labels" / "train" / "c.txt", "1 0.5 0.5 0.5 0.4 0.1 0.1 0.2 0.2")
        annotations = recognise_detection(tmp_path).training().read().annotations
        assert boxes_of(annotations)["c.jpg"] == [("dog", pytest.approx([10, 9, 30, 21]))]
        assert annotations.photos[2].objects[0].outline is None

    def test_a_photo_without_labels_shows_nothing_and_labels_need_a_photo(
        self, tmp_path: Path
    ) -> None:
        MADE["Ultralytics"].make(tmp_path)
        labels = tmp_path / "labels" / "train"
        (labels / "a.txt").rename(labels / "other.txt")
        reading = recognise_detection(tmp_path).training().read()
        assert reading.notes == ("1 photo without a label file: taken to show nothing",)
        assert [(fault.where, fault.kind) for fault in reading.faults] == [
            (str(labels / "other.txt"), "missing photo")
        ]
        assert boxes_of(reading.annotations)["a.jpg"] == []

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("cat 0.5 0.5 0.1 0.1", '"cat 0.5 0.5 0.1 0.1" is not a class and numbers'),
            ("0.5 0.5 0.5 0.1 0.1", "is not a class and numbers"),
            ("0 nan 0.5 0.1 0.1", "is not a class and numbers"),
            ("0 0.5 0.5 0.1", "has 4 numbers: neither a class and a box nor an outline"),
            ("0 0.5 0.5 0.1 0.1 0.9", "has 6 numbers: neither"),
        ],
    )
    def test_a_wrong_row_is_listed(self, tmp_path: Path, row: str, message: str) -> None:
        MADE["Ultralytics"].make(tmp_path)
        write(tmp_path / "labels" / "train" / "c.txt", f"\n{row}\n")
        (fault,) = recognise_detection(tmp_path).training().read().faults
        assert (fault.where, fault.kind) == ("c.txt: line 2", "bad row")
        assert message in fault.message

    def test_a_class_beyond_the_names_is_listed(self, tmp_path: Path) -> None:
        MADE["Ultralytics"].make(tmp_path)
        write(tmp_path / "labels" / "train" / "c.txt", "2 0.5 0.5 0.1 0.1\n")
        (fault,) = recognise_detection(tmp_path).training().read().faults
        assert (fault.kind, fault.message) == ("unknown class", "class 2 is not in the categories")

    def test_lists_of_photos_are_read(self, tmp_path: Path) -> None:
        MADE["Ultralytics"].make(tmp_path)
        write(tmp_path / "few.txt", "./images/train/b.jpg\n./images/val/d.jpg\n")
        write(tmp_path / "data.yaml", "train: [few.txt]\nval: images/val\nnames: [cat, dog]")
        annotations = recognise_detection(tmp_path).training().read().annotations
        assert {name: len(found) for name, found in boxes_of(annotations).items()} == {
            "b.jpg": 2,
            "d.jpg": 1,
        }

    @pytest.mark.parametrize(
        ("yaml", "message"),
        [
            ("train: images/train\nval: images/val", "has no 'names'"),
            ("train: elsewhere\nnames: [cat]", "its train: elsewhere is not there; looked at"),
            ("train: images/train\nnames: {one: cat}", "other numbers than whole ones"),
            ("train: [", r"is not YAML \("),
        ],
    )
    def test_a_wrong_data_yaml_is_refused(self, tmp_path: Path, yaml: str, message: str) -> None:
        MADE["Ultralytics"].make(tmp_path)
        write(tmp_path / "data.yaml", yaml)
        with pytest.raises(DataError, match=rf"data\.yaml: .*{message}"):
            recognise_detection(tmp_path)

    def test_photos_of_equal_names_have_their_own_ids(self, tmp_path: Path) -> None:
        for folder in ("one", "two"):
            photos(tmp_path / "images" / folder, {"a": []})
            write(tmp_path / "labels" / folder / "a.txt", yolo([(0, 0, 0, 9, 9)]))
        write(tmp_path / "data.yaml", "train: images\nnames: [cat]")
        found = recognise_detection(tmp_path).training().read().annotations.photos
        assert len({photo.image_id for photo in found}) == 2


class TestLabelMe:
    """Shapes with an area are boxes."""

    def read(self, folder: Path, *shapes: dict) -> list:
        photos(folder, {"a": []})
        content = {**labelme("a", []), "shapes": list(shapes)}
        write(folder / "a.json", content)
        reading = recognise_detection(folder).training().read()
        assert len(reading.annotations.photos) == 1
        return [boxes_of(reading.annotations)["a.jpg"], reading]

    def test_polygons_are_kept_as_outlines(self, tmp_path: Path) -> None:
        points = [[10, 5], [30, 5], [20, 25.0]]
        boxes, reading = self.read(tmp_path, {"label": "dog", "points": points})
        assert boxes == [("dog", [10, 5, 30, 25])]
        (thing,) = reading.annotations.photos[0].objects
        assert thing.outline[0].tolist() == points

    def test_circles_have_the_box_around_them(self, tmp_path: Path) -> None:
        circle = {"label": "dog", "shape_type": "circle", "points": [[20, 15], [23, 19]]}
        assert self.read(tmp_path, circle)[0] == [("dog", [15, 10, 25, 20])]

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ({"label": "x", "shape_type": "line", "points": [[1, 1], [9, 9]]}, "is a line of 2 p"),
            ({"label": "x", "shape_type": "rectangle", "points": [[1, 1]]}, "which has no box"),
            ({"label": "x", "points": "?"}, "is a polygon of 0 points"),
            ({"label": " ", "points": []}, "has no label"),
            ("x", "has no label"),
        ],
    )
    def test_other_shapes_are_listed(self, tmp_path: Path, shape: dict, message: str) -> None:
        (fault,) = self.read(tmp_path, shape)[1].faults
        assert (fault.where, fault.kind) == ("a.json: shape 1", "bad row")
        assert message in fault.message

    def test_a_damaged_file_costs_only_its_photo(self, tmp_path: Path) -> None:
        MADE["LabelMe"].make(tmp_path)
        write(tmp_path / "b.json", "{")
        write(tmp_path / "c.json", json.dumps({"imagePath": "c.jpg"}))
        reading = recognise_detection(tmp_path).training().read()
        assert [fault.kind for fault in reading.faults] == ["bad annotations"] * 2
        assert boxes_of(reading.annotations).keys() == {"a.jpg"}


def test_voc_without_lists_is_read_whole_and_lists_need_a_split(tmp_path: Path) -> None:
    photos(tmp_path / "JPEGImages", {"a": [], "b": []})
    for name in ("a", "b"):
        write(tmp_path / "Annotations" / f"{name}.xml", voc([(0, 0, 0, 9, 9)]))
    (split,) = recognise_detection(tmp_path).splits
    assert len(split.read().annotations.photos) == 2
    write(tmp_path / "ImageSets" / "Main" / "mine.txt", "a\n")
    with pytest.raises(DataError, match=r"Main: has no train\.txt; there are: mine"):
        recognise_detection(tmp_path)


@pytest.mark.parametrize("name", ["LabelImg", "LabelMe"])
def test_photos_without_annotations_are_counted(tmp_path: Path, name: str) -> None:
    MADE[name].make(tmp_path)
    assert recognise_detection(tmp_path).training().read().notes == ()
    photos(tmp_path, {"other": [], "more": []}, ".png")
    reading = recognise_detection(tmp_path).training().read()
    assert reading.notes == (f"{tmp_path}: passed over 2 photos without annotations",)
    assert len(reading.annotations.photos) == 3
