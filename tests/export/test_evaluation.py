"""Columns are measured on what is known of the photos, and held to the first."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console

from export.accuracy import classifier_accuracy, detector_accuracy
from export.evaluation.column import QUERY, Column, PackageColumn
from export.evaluation.comparison import Comparison, Result, compare
from export.evaluation.figures import Answers, Figures, agreement, measure
from export.evaluation.network import NetworkColumn
from export.evaluation.photo_set import (
    PhotoSet,
    PhotoSetError,
    read_annotated,
    read_class_folders,
    read_photo_set,
)
from export.evaluation.table import to_table, to_verdict
from export.graph import build_graph
from export.photos import PhotoError, read_photo
from models.variants import VARIANTS
from models.weights import load_checkpoint, load_into
from service.manifest import InputSpec, Label, ModelManifest
from service.package import PackageError, open_package

CAT, DOG = Label(id=8, name="cat"), Label(id=12, name="dog")


@pytest.fixture(scope="module")
def detector(store: Path) -> PackageColumn:
    return PackageColumn(open_package(store / "efficientdet_lite0_voc" / "1"))


@pytest.fixture(scope="module")
def classifier(store: Path) -> PackageColumn:
    return PackageColumn(open_package(store / "efficientnet_lite0_imagenet" / "1"))


def ignore(done: int, total: int) -> None:
    pass


@contextmanager
def unseen(column: Column) -> Iterator[Callable[[int, int], None]]:
    yield ignore


class TestCocoFile:
    """An instances file is measured on as it is, or refused in one line."""

    content: ClassVar[dict] = {
        "images": [
            {"id": 3, "file_name": "cat.jpg", "width": 451, "height": 300},
            {"id": 4, "file_name": "coffee.jpg", "width": 600, "height": 400},
            {"id": 5, "file_name": "rocket.jpg", "width": 640, "height": 427},
        ],
        "categories": [{"id": 8, "name": "cat"}, {"id": 12, "name": "dog"}, {"id": 0, "name": "x"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 8, "bbox": [19, 10, 408, 290]},
            {"id": 2, "image_id": 5, "category_id": 12, "bbox": [9, 10, 900, 90], "iscrowd": 1},
        ],
    }

    def write(self, folder: Path, **changes: object) -> Path:
        path = folder / "instances.json"
        path.write_text(json.dumps({**self.content, **changes}))
        return path

    def test_is_read_as_it_is(self, tmp_path: Path, photos: Path) -> None:
        path = self.write(tmp_path)
        found = read_annotated(path, photos, [CAT, DOG])
        assert found.photos == tuple(photos / f"{n}.jpg" for n in ("cat", "coffee", "rocket"))
        assert found.objects == self.content
        assert found.name.startswith("instances.json, sha256 ")

    def test_limit_is_spread_and_keeps_the_chosen_photos_objects(
        self, tmp_path: Path, photos: Path
    ) -> None:
        found = read_annotated(self.write(tmp_path), photos, [CAT, DOG], limit=2)
        assert [image["id"] for image in found.objects["images"]] == [3, 4]
        assert [row["id"] for row in found.objects["annotations"]] == [1]
        assert (len(found.photos), found.total) == (2, 3)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            ([Label(id=8, name="dog"), DOG], "category 8 is 'cat', an id that the model calls 'd"),
            ([DOG], "category 8 is 'cat', an id that the model does not have"),
        ],
        ids=["another name", "no such id"],
    )
    def test_categories_must_be_the_labels(
        self, tmp_path: Path, photos: Path, labels: list[Label], words: str
    ) -> None:
        with pytest.raises(PhotoSetError, match=words):
            read_annotated(self.write(tmp_path), photos, labels)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"images": [{**content["images"][0], "file_name": "no.jpg"}]}, "no.jpg: there is no"),
            ({"annotations": []}, "has no object in its 3 photos"),
            ({"annotations": content["annotations"][1:]}, "has no object in its 3 photos"),
            (
                {"annotations": [{**content["annotations"][0], "bbox": "?"}] * 2},
                "four numbers.*1 m",
            ),
            ({"images": content["images"] * 2}, "images have this id"),
            ({"categories": 7}, "'categories' is not a list"),
        ],
        ids=["missing photo", "no object", "crowds", "no box", "ids twice", "no categories"],
    )
    def test_what_cannot_be_measured_on_is_refused(
        self, tmp_path: Path, photos: Path, changes: dict, words: str
    ) -> None:
        if "annotations" not in changes and len(changes.get("images", ())) == 1:
            changes = {**changes, "annotations": self.content["annotations"][:1]}
        with pytest.raises(PhotoSetError, match=words) as error:
            read_annotated(self.write(tmp_path, **changes), photos, [CAT, DOG])
        assert "\n" not in str(error.value)

    def test_is_not_for_a_classifier(
        self, tmp_path: Path, photos: Path, classifier: PackageColumn
    ) -> None:
        with pytest.raises(PhotoSetError, match="a classifier; leave the annotations out"):
            read_photo_set(classifier.manifest, photos, self.write(tmp_path))


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

    def test_of_a_strange_name_are_refused(self, folder: Path) -> None:
        with pytest.raises(PhotoSetError, match="cat: the model has no label 'cat'"):
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

    def test_measure_the_shipped_classifier(
        self, tmp_path: Path, photos: Path, store: Path
    ) -> None:
        """Two photos in the right folder; one whose class is second; one of another class."""
        for name, photo in (
            ("espresso", "coffee"),
            ("missile", "rocket"),
            ("Egyptian cat", "cat"),
            ("tench", "gravel"),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / "photo.jpg").symlink_to(photos / f"{photo}.jpg")
        package = open_package(store / "efficientnet_lite0_imagenet" / "1")
        ranked = PackageColumn(package).answer([photos / "cat.jpg", photos / "rocket.jpg"], ignore)
        assert "Egyptian cat" in [row["label"] for row in ranked[0][1:]]  # not the first
        assert ranked[1][0]["label"] == "missile"
        accuracy = classifier_accuracy(package, tmp_path)
        assert accuracy.metrics == {"top1": 0.5, "top5": 0.75}
        assert (accuracy.images, accuracy.classes) == (4, None)


def test_plain_photos_are_those_in_the_folder(photos: Path, detector: PackageColumn) -> None:
    found = read_photo_set(detector.manifest, photos, limit=3)
    assert [photo.name for photo in found.photos] == ["astronaut.jpg", "coffee.jpg", "gravel.jpg"]
    assert (found.total, found.objects, found.classes) == (7, None, None)
    with pytest.raises(PhotoSetError, match="there is no such folder"):
        read_photo_set(detector.manifest, photos / "none")


def test_plain_photos_need_a_photo(tmp_path: Path, detector: PackageColumn) -> None:
    with pytest.raises(PhotoError, match="holds no photo"):
        read_photo_set(detector.manifest, tmp_path)


def found(box: Sequence[float], score: float = 0.9, label: Label = CAT) -> dict:
    return {"box": list(box), "score": score, "label": label.name, "label_id": label.id}


HERE, NEAR, THERE = (10, 10, 50, 50), (12, 10, 52, 50), (90, 90, 130, 130)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([found(HERE)], [found(NEAR)], 1.0),
        ([found(HERE)], [found(THERE)], 0.0),
        ([found(HERE)], [found(HERE, label=DOG)], 0.0),
        ([found(HERE), found(THERE)], [found(HERE)], 2 / 3),
        ([found(HERE)], [found(HERE), found(THERE)], 2 / 3),
        ([found(HERE), found(NEAR)], [found(HERE)], 2 / 3),
        ([found(HERE), found(THERE, 0.3)], [found(HERE)], 1.0),
        ([], [], 1.0),
        ([], [found(HERE)], 0.0),
    ],
    ids=[
        "a twin",
        "elsewhere",
        "another label",
        "one more",
        "one less",
        "one twin only",
        "not above the threshold",
        "nothing",
        "nothing found",
    ],
)
def test_detections_agree_with_their_twins(
    detector: PackageColumn, own: list[dict], other: list[dict], expected: float
) -> None:
    assert detector.manifest.defaults.score_threshold == 0.3
    assert agreement(detector.manifest, [own], [other]) == pytest.approx(expected)


def test_classifications_agree_in_the_best_class(classifier: PackageColumn) -> None:
    cat, dog = {"label_id": 8, "score": 0.6}, {"label_id": 12, "score": 0.4}
    answers = [[cat, dog], [dog, cat], [cat, dog], [cat]]
    assert agreement(classifier.manifest, answers, [[cat, dog]] * 4) == 0.75


def test_detections_are_measured_by_photo_and_class() -> None:
    objects = {
        **TestCocoFile.content,
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 8, "bbox": [10, 10, 40, 40]},
            {"id": 2, "image_id": 5, "category_id": 12, "bbox": [90, 90, 40, 40]},
        ],
    }
    photo_set = PhotoSet("test", 3, (Path("a"), Path("b"), Path("c")), objects)
    right = measure(photo_set, [[found(HERE)], [], [found(THERE, label=DOG)]])
    assert right.metrics["ap"] == right.metrics["ap_medium"] == pytest.approx(1)
    assert "ap_large" not in right.metrics
    assert right.classes == pytest.approx({"cat": 1, "dog": 1})
    half = measure(photo_set, [[found(HERE)], [found(THERE, label=DOG)], []])
    assert half.metrics["ap"] == pytest.approx(0.5)
    assert half.classes == pytest.approx({"cat": 1, "dog": 0})


def test_a_network_answers_as_its_package(
    classifier: PackageColumn, imagenet_weights: Path, photos: Path
) -> None:
    column = NetworkColumn(imagenet_weights, classifier.manifest)
    assert column.sha256 == classifier.manifest.provenance.weights_sha256
    paths = sorted(photos.glob("*.jpg"))
    for own, other in zip(
        column.answer(paths, ignore), classifier.answer(paths, ignore), strict=True
    ):
        assert [row["label"] for row in own] == [row["label"] for row in other]
        assert [row["score"] for row in own] == pytest.approx(
            [row["score"] for row in other], abs=1e-4
        )


def test_a_detecting_network_answers_as_its_graph(
    checkpoint: Path, detector: PackageColumn, photos: Path
) -> None:
    """Of a size of its own, which the manifest states."""
    names = ("person", "cat", "cup", "rocket")
    variant = VARIANTS[checkpoint.stem]
    spec = replace(variant.input, height=256, width=256)
    manifest = detector.manifest.model_copy(
        update={
            "labels": tuple(Label(id=i, name=name) for i, name in enumerate(names, 1)),
            "input": InputSpec(**vars(spec)),
            "provenance": detector.manifest.provenance.model_copy(
                update={"architecture": checkpoint.stem}
            ),
        }
    )
    photo = photos / "cat.jpg"
    [rows] = NetworkColumn(checkpoint, manifest).answer([photo], ignore)
    network = variant.build(4)
    load_into(network, load_checkpoint(checkpoint).state, "")
    inputs = read_photo(photo, manifest.input)
    feeds = (
        np.stack([inputs.pixels]),
        np.array(QUERY.score_threshold),
        np.array(QUERY.iou_threshold),
        np.array(QUERY.max_detections),
    )
    with torch.no_grad():
        numbers, boxes, scores, labels = build_graph(network, spec)(*map(torch.from_numpy, feeds))
    expected = inputs.placement.undo(boxes[0, : numbers[0]].numpy())
    assert len(rows) > 10
    assert rows[0]["box"] == pytest.approx(expected[0].tolist(), abs=0.01)
    assert rows[0]["score"] == pytest.approx(float(scores[0, 0]), abs=1e-5)
    assert rows[0]["label"] == names[int(labels[0, 0])]


def test_an_architecture_that_nobody_knows_is_refused(
    classifier: PackageColumn, imagenet_weights: Path
) -> None:
    provenance = classifier.manifest.provenance.model_copy(update={"architecture": "lenet"})
    manifest = classifier.manifest.model_copy(update={"provenance": provenance})
    with pytest.raises(PackageError, match="was exported from lenet, which is none"):
        NetworkColumn(imagenet_weights, manifest)


def test_inputs_of_several_sizes_keep_their_order(
    detector: PackageColumn, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a detector whose input varies: only photos of one shape run together."""
    paths = [photos / f"{name}.jpg" for name in ("cat", "coffee", "astronaut", "rocket", "cat")]
    expected = detector.answer(paths, ignore)
    sizes: list[int] = []
    run = detector._runner.run

    def counted(jobs: Sequence) -> list:
        sizes.append(len(jobs))
        return run(jobs)

    monkeypatch.setattr(detector._runner, "run", counted)
    monkeypatch.setattr(detector._runner, "group", lambda job: job.image.placement.width)
    for own, other in zip(detector.answer(paths, ignore), expected, strict=True):
        assert [row["label"] for row in own] == [row["label"] for row in other]
    assert sorted(sizes) == [1, 1, 1, 2]


def test_a_damaged_photo_is_named(detector: PackageColumn, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises(PhotoError, match=r"bad\.jpg: "):
        detector.answer([tmp_path / "bad.jpg"], ignore)


class FixedColumn:
    """Answers what it is told; the comparison asks no more of a column."""

    sha256 = "0" * 64

    def __init__(self, title: str, manifest: ModelManifest, answers: Answers) -> None:
        self.title, self.source, self.manifest = title, "pets/1", manifest
        self._answers = [list(rows) for rows in answers]

    def answer(self, photos: Sequence[Path], on_progress: Callable[[int, int], None]) -> list:
        on_progress(len(photos), len(photos))
        return self._answers


def compare_classes(
    manifest: ModelManifest, *hits: int, known: bool = True, tolerance: float | None = None
) -> Comparison:
    """Columns that each give ``hits`` of a hundred photos the right class."""
    right, wrong = {"label_id": 8, "score": 0.9}, {"label_id": 12, "score": 0.9}
    columns = [
        FixedColumn(f"column {i}", manifest, [[right]] * n + [[wrong]] * (100 - n))
        for i, n in enumerate(hits)
    ]
    photo_set = PhotoSet("t", 100, (Path("x"),) * 100, None, (8,) * 100 if known else None)
    return compare(columns, photo_set, unseen, tolerance)


def test_a_column_may_fall_by_the_tolerance_and_no_further(classifier: PackageColumn) -> None:
    comparison = compare_classes(classifier.manifest, 90, 88, 89, 95, tolerance=1)
    assert [comparison.drop(result) for result in comparison.results] == pytest.approx(
        [0, 2, 1, -5]
    )
    assert [result.column.title for result in comparison.failures] == ["column 1"]
    assert to_verdict(comparison) == (
        "failed: top-1 of column 1 pets/1 is 2.00 points below column 0 pets/1, more than 1 points"
    )
    content = comparison.to_json()
    assert content["gate"] == {"metric": "top1", "tolerance_points": 1, "passed": False}
    assert [column["passed"] for column in content["columns"]] == [True, False, True, True]
    assert content["columns"][1]["metrics"] == {"top1": 0.88, "top5": 0.88}
    assert [column["agreement"] for column in content["columns"]] == [1, 0.98, 0.99, 0.95]
    assert json.loads(json.dumps(content)) == content


def test_tolerance_depends_on_what_is_measured(classifier: PackageColumn) -> None:
    accuracy = compare_classes(classifier.manifest, 90, 89)
    assert (accuracy.metric, accuracy.tolerance, len(accuracy.failures)) == ("top1", 0.5, 1)
    alike = compare_classes(classifier.manifest, 90, 87, known=False)
    assert (alike.metric, alike.tolerance, len(alike.failures)) == ("agreement", 3, 0)
    assert len(compare_classes(classifier.manifest, 90, 94, known=False).failures) == 1


def test_a_table_shows_each_difference(classifier: PackageColumn) -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(to_table(compare_classes(classifier.manifest, 90, 87)))
    lines = captured.get().splitlines()
    row = next(line for line in lines if "top-1" in line)
    assert row.split() == ["top-1", "90.00", "87.00", "-3.00"]
    assert next(line for line in lines if "agreement" in line).split() == ["agreement", "97.00"]


def test_a_table_marks_what_could_not_be_measured(detector: PackageColumn) -> None:
    figures = (Figures({"ap": 0.5}, {"cat": 0.25}), Figures({"ap": 0.25}, {}))
    results = tuple(Result(detector, one, 1.0, 10.0) for one in figures)
    photo_set = PhotoSet("t [1]", 9, (Path("x"),))
    console = Console(width=100)
    with console.capture() as captured:
        console.print(to_table(Comparison(photo_set, "ap", 0.5, results)))
    assert "t [1]" in captured.get()
    assert "1 of 9 photos" in captured.get()
    row = next(line for line in captured.get().splitlines() if "AP cat" in line)
    assert row.split() == ["AP", "cat", "25.00", "-"]


def test_columns_must_be_alike(detector: PackageColumn, classifier: PackageColumn) -> None:
    photo_set = PhotoSet("t", 1, (Path("x"),))
    with pytest.raises(PackageError, match="one does detection, the other classification"):
        compare([detector, classifier], photo_set, unseen)
    other = detector.manifest.model_copy(update={"labels": detector.manifest.labels[1:]})
    with pytest.raises(PackageError, match="their labels differ"):
        compare([detector, FixedColumn("x", other, [[]])], photo_set, unseen)
    with pytest.raises(PhotoSetError, match="no second column to agree with"):
        compare([detector], photo_set, unseen)


def test_a_manifest_gets_all_figures_of_a_detector(
    store: Path, tmp_path: Path, photos: Path
) -> None:
    """The cat is found at IoU .9 or so; what the data have none of is left out."""
    path = TestCocoFile().write(tmp_path, annotations=TestCocoFile.content["annotations"][:1])
    package = open_package(store / "efficientdet_lite0_voc" / "1")
    accuracy = detector_accuracy(package, path, photos)
    assert set(accuracy.metrics) == {"ap", "ap50", "ap75", "ap_large", "ar100"}
    assert accuracy.metrics["ap50"] == 1
    assert accuracy.classes == {"cat": accuracy.metrics["ap"]}
    assert 0.5 < accuracy.metrics["ap"] <= 1
