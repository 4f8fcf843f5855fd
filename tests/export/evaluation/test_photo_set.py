"""Photos to measure on are read as they are, or refused in one line."""

import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from export.evaluation.column import PackageColumn
from export.evaluation.photo_set import (
    EvaluationSet,
    PhotoSetError,
    read_annotated,
    read_class_folders,
    read_photo_set,
)
from service.imaging.files import PhotoError
from service.manifest import Label
from tests.models.datasets.made import MADE, write

from .instances import CAT, DOG, INSTANCES, write_instances


class TestCocoFile:
    """An instances file is measured on as it is, or refused in one line."""

    def test_is_read_as_it_is(self, tmp_path: Path, photos: Path) -> None:
        path = write_instances(tmp_path)
        found = read_annotated(path, photos, [CAT, DOG])
        assert found.photos == tuple(photos / f"{n}.jpg" for n in ("cat", "coffee", "rocket"))
        assert found.objects["categories"] == [vars(CAT), vars(DOG)]
        for name in ("images", "annotations"):
            rows = zip(found.objects[name], INSTANCES[name], strict=True)
            assert all(own | row == own for own, row in rows)
        assert found.name.startswith("instances.json, sha256 ")

    @pytest.mark.parametrize(
        ("crowd", "expected"),
        [
            ({"bbox": [5, 5, 10, 10]}, [5, 5, 10, 10]),
            (
                {"segmentation": {"size": [300, 451], "counts": [3010, 20, 280, 20, 131970]}},
                [10, 10, 2, 20],
            ),
            ({}, None),
            ({"bbox": [5, 5, 10, 10], "image_id": None}, None),
        ],
        ids=["a box", "an outline", "neither", "no image"],
    )
    def test_crowd_counts_where_it_can_be_placed(
        self, tmp_path: Path, photos: Path, crowd: dict, expected: list[int] | None
    ) -> None:
        row = {"id": 7, "image_id": 3, "category_id": 8, "iscrowd": 1, **crowd}
        rows = [INSTANCES["annotations"][0], {k: v for k, v in row.items() if v is not None}]
        found = read_annotated(write_instances(tmp_path, annotations=rows), photos, [CAT, DOG])
        boxes = [row["bbox"] for row in found.objects["annotations"][1:]]
        assert boxes == ([] if expected is None else [expected])

    def test_limit_is_spread_and_keeps_the_chosen_photos_objects(
        self, tmp_path: Path, photos: Path
    ) -> None:
        found = read_annotated(write_instances(tmp_path), photos, [CAT, DOG], limit=2)
        assert [image["id"] for image in found.objects["images"]] == [3, 4]
        assert [row["id"] for row in found.objects["annotations"]] == [1]
        assert (len(found.photos), found.total) == (2, 3)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            ([Label(id=8, name="dog"), DOG], "category 8 is 'cat', an id that is 'dog' among"),
            ([DOG], "category 8 is 'cat', an id that does not exist"),
        ],
        ids=["another name", "no such id"],
    )
    def test_categories_must_be_the_labels(
        self, tmp_path: Path, photos: Path, labels: list[Label], words: str
    ) -> None:
        with pytest.raises(PhotoSetError, match=words):
            read_annotated(write_instances(tmp_path), photos, labels)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (
                {"images": [{**INSTANCES["images"][0], "file_name": "no.jpg"}]},
                "no.jpg: there is no",
            ),
            ({"annotations": []}, "has no object in its 3 photos"),
            ({"annotations": INSTANCES["annotations"][1:]}, "has no object in its 3 photos"),
            (
                {"annotations": [{**INSTANCES["annotations"][0], "bbox": "?"}] * 2},
                "four numbers.*1 m",
            ),
            ({"images": INSTANCES["images"] * 2}, "images have this id"),
            ({"categories": 7}, "'categories' is not a list"),
        ],
        ids=["missing photo", "no object", "crowds", "no box", "ids twice", "no categories"],
    )
    def test_what_cannot_be_measured_on_is_refused(
        self, tmp_path: Path, photos: Path, changes: dict, words: str
    ) -> None:
        if "annotations" not in changes and len(changes.get("images", ())) == 1:
            changes = {**changes, "annotations": INSTANCES["annotations"][:1]}
        with pytest.raises(PhotoSetError, match=words) as error:
            read_annotated(write_instances(tmp_path, **changes), photos, [CAT, DOG])
        assert "\n" not in str(error.value)

    def test_is_not_for_a_classifier(
        self, tmp_path: Path, photos: Path, classifier: PackageColumn
    ) -> None:
        with pytest.raises(PhotoSetError, match="a classifier; leave the annotations out"):
            read_photo_set(classifier.manifest, EvaluationSet(photos, write_instances(tmp_path)))


class TestDataSets:
    """Whatever the layout, the validation photos are measured on, by the labels' ids."""

    @pytest.mark.parametrize("name", MADE)
    def test_are_read_in_every_layout(self, tmp_path: Path, name: str) -> None:
        MADE[name].make(tmp_path)
        first = MADE[name].first
        labels = [Label(id=first, name="cat"), Label(id=first + 1, name="dog")]
        notes: list[str] = []
        found = EvaluationSet(annotations=tmp_path).read(labels, on_note=notes.append)
        assert found.objects is not None
        dogs = [r["bbox"] for r in found.objects["annotations"] if r["category_id"] == first + 1]
        stems = [photo.stem for photo in found.photos]
        if len(MADE[name].splits) == 1:
            assert (stems, dogs[0]) == (["a", "b", "c"], pytest.approx([10, 10, 10, 10]))
        else:
            assert (stems, dogs) == (["d"], [pytest.approx([8, 3, 24, 24])])
        assert f", {MADE[name].name}: {len(stems)} photos" in notes[0]

    def test_without_ids_are_read_by_names(self, tmp_path: Path) -> None:
        MADE["Roboflow VOC"].make(tmp_path)
        labels = [Label(id=90, name="dog"), Label(id=7, name="cat")]
        found = EvaluationSet(annotations=tmp_path).read(labels)
        assert found.objects is not None
        assert [row["category_id"] for row in found.objects["annotations"]] == [90]
        with pytest.raises(PhotoSetError, match="class dog is not in the categories"):
            EvaluationSet(annotations=tmp_path).read(labels[1:])

    def test_are_named_with_a_digest_of_what_they_say(self, tmp_path: Path) -> None:
        MADE["Ultralytics"].make(tmp_path)
        labels = [Label(id=0, name="cat"), Label(id=1, name="dog")]
        first = EvaluationSet(annotations=tmp_path).read(labels).name
        assert first.startswith(f"{tmp_path.name}, data.yaml, sha256 ")
        write(tmp_path / "labels" / "val" / "d.txt", "1 0.5 0.5 0.1 0.1")
        assert EvaluationSet(annotations=tmp_path).read(labels).name != first

    def test_of_no_known_layout_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(PhotoSetError, match="is no data set that is known"):
            EvaluationSet(annotations=tmp_path).read([CAT])


class TestClassFolders:
    """A folder for each class says what its photos show."""

    @pytest.fixture
    def folder(self, tmp_path: Path, photos: Path) -> Path:
        for name, photo in (("12", "rocket"), ("cat", "cat"), ("cat/more", "coffee")):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{photo}.jpg").symlink_to(photos / f"{photo}.jpg")
        (tmp_path / "cat" / "notes.txt").write_text("no photo")
        return tmp_path

    def test_are_labels_by_name_or_id(self, folder: Path) -> None:
        found = read_class_folders(folder, [CAT, DOG])
        assert [photo.stem for photo in found.photos] == ["rocket", "cat", "coffee"]
        assert found.classes == (12, 8, 8)
        assert read_class_folders(folder, [CAT, DOG], limit=2).classes == (12, 8)

    def test_hold_other_files_which_are_counted(self, folder: Path) -> None:
        notes: list[str] = []
        assert read_class_folders(folder, [CAT, DOG], on_note=notes.append).total == 3
        assert notes == [
            f"{folder}, class folders: 3 photos of 2 classes",
            f"{folder}: passed over 1 file: 1 .txt",
        ]

    def test_of_a_strange_name_are_refused(self, folder: Path) -> None:
        with pytest.raises(PhotoSetError, match="cat: is none of dog, nor the id"):
            read_class_folders(folder, [DOG])

    def test_of_a_name_that_labels_share_are_refused(self, folder: Path) -> None:
        with pytest.raises(PhotoSetError, match="use their ids: 8, 9"):
            read_class_folders(folder, [CAT, Label(id=9, name="cat"), DOG])

    def test_beside_photos_are_refused(self, folder: Path, photos: Path) -> None:
        (folder / "stray.jpg").symlink_to(photos / "cat.jpg")
        with pytest.raises(PhotoSetError, match="holds photos beside its folders"):
            read_class_folders(folder, [CAT, DOG])

    def test_without_photos_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        with pytest.raises(PhotoSetError, match="its folders hold no photo"):
            read_class_folders(tmp_path, [CAT, DOG])
        with pytest.raises(PhotoSetError, match="no such folder"):
            read_class_folders(tmp_path / "other", [CAT, DOG])


def test_plain_photos_are_those_in_the_folder(photos: Path, detector: PackageColumn) -> None:
    found = read_photo_set(detector.manifest, EvaluationSet(photos), limit=3)
    assert [photo.name for photo in found.photos] == ["astronaut.jpg", "coffee.jpg", "gravel.jpg"]
    assert (found.total, found.objects, found.classes) == (7, None, None)
    with pytest.raises(PhotoSetError, match="there is no such folder"):
        read_photo_set(detector.manifest, EvaluationSet(photos / "none"))


def test_plain_photos_need_a_photo(tmp_path: Path, detector: PackageColumn) -> None:
    with pytest.raises(PhotoError, match="holds no photo"):
        read_photo_set(detector.manifest, EvaluationSet(tmp_path))


@pytest.mark.parametrize(
    ("suffix", "turn", "stated", "words"),
    [
        (".jpg", 1, (60, 40), None),
        (".jpg", 6, (40, 60), None),
        (".png", 6, (40, 60), None),
        (".jpg", 6, (60, 40), r"has 40 x 60 pixels, upright; turned\.json says 60 x 40"),
        (".jpg", 1, (120, 80), r"has 60 x 40 pixels, upright; turned\.json says 120 x 80"),
    ],
    ids=["as shown", "turned by EXIF", "a turned PNG", "as stored", "resized since"],
)
def test_annotations_are_of_the_photos_size(
    tmp_path: Path, suffix: str, turn: int, stated: tuple[int, int], words: str | None
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    Image.new("RGB", (60, 40)).save(tmp_path / f"a{suffix}", exif=exif)
    images = [{"id": 1, "file_name": f"a{suffix}", "width": stated[0], "height": stated[1]}]
    rows = [{"id": 1, "image_id": 1, "category_id": 8, "bbox": [1, 1, 20, 20]}]
    content = {"images": images, "annotations": rows, "categories": [{"id": 8, "name": "cat"}]}
    (tmp_path / "turned.json").write_text(json.dumps(content))
    annotations = tmp_path / "turned.json"
    if words is None:
        assert len(read_annotated(annotations, tmp_path, [CAT]).photos) == 1
        return
    with pytest.raises(PhotoSetError, match=words):
        read_annotated(annotations, tmp_path, [CAT])
