"""What one run of a detector's graph can serve."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import numpy as np
import pytest

from service.imaging.files import read_photo
from service.imaging.proposals import NoProposals
from service.imaging.resize import ModelInput, Placement
from service.inference import detector as served
from service.inference.detector import DetectionQuery, Detector
from service.manifest import DetectionManifest, Tensor
from service.package import PackageError, open_package, verify_package
from service.parameters import DetectParameters
from service.problems import Problem

LOW = {"score_threshold": 0.02, "iou_threshold": 0.3}


@pytest.fixture(scope="module")
def detector(store: Path) -> Detector:
    return Detector(open_package(store / "efficientdet_lite0_voc" / "1"))


@pytest.fixture(scope="module")
def image(detector: Detector, photos: Path) -> ModelInput:
    return read_photo(photos / "cat.jpg", detector.manifest.input)


def query(detector: Detector, **parameters: object) -> DetectionQuery:
    return detector.to_query(DetectParameters(**parameters))


def test_what_decides_suppression_divides_images(detector: Detector, image: ModelInput) -> None:
    plain = detector.group(image, query(detector))
    for same in ({"score_threshold": 0.9}, {"max_detections": 1}, {"class_agnostic": False}):
        assert detector.group(image, query(detector, **same)) == plain
    for other in ({"iou_threshold": 0.4}, {"class_agnostic": True}):
        assert detector.group(image, query(detector, **other)) != plain


def test_class_agnostic_run_gives_each_box_once(detector: Detector, image: ModelInput) -> None:
    (by_label,) = detector.run([image], [query(detector, **LOW)])
    first, second = detector.run(
        [image, image],
        [
            query(detector, **LOW, class_agnostic=True),
            query(detector, **LOW, class_agnostic=True, max_detections=2),
        ],
    )
    assert len({tuple(row["box"]) for row in by_label}) < len(by_label)
    assert len({tuple(row["box"]) for row in first}) == len(first) < len(by_label)
    assert second == first[:2]


def test_package_from_before_there_was_the_input_is_refused(store: Path, tmp_path: Path) -> None:
    name = "efficientdet_lite0_voc"
    package = shutil.copytree(store / name / "1", tmp_path / name / "1")
    manifest = json.loads((package / "manifest.json").read_text())
    assert manifest["inputs"].pop()["name"] == "class_agnostic"
    (package / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackageError) as caught:
        verify_package(package)
    message = str(caught.value)
    assert message.startswith(str(package))
    assert message.endswith("max_detections, class_agnostic; export the model again")
    assert "\n" not in message


@pytest.mark.parametrize(("stored", "asked"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_a_label_is_found_however_its_accents_are_written(
    store: Path, stored: Literal["NFC", "NFD"], asked: Literal["NFC", "NFD"]
) -> None:
    package = open_package(store / "efficientdet_lite0_voc" / "1")
    labels = [*package.manifest.labels]
    labels[7] = labels[7].model_copy(update={"name": normalize(stored, "café")})
    manifest = package.manifest.model_copy(update={"labels": labels})
    renamed = Detector(replace(package, manifest=manifest))
    assert query(renamed, labels=[normalize(asked, "café")]).kept == {7}
    with pytest.raises(Problem, match="has no label 'cafe'"):
        query(renamed, labels=["cafe"])


def test_what_lies_beside_the_photo_takes_no_place(detector: Detector, image: ModelInput) -> None:
    """The best rows lie on a cat at the right, of an input whose left alone is the photo."""
    pixels = np.concatenate([np.zeros((320, 200, 3), np.uint8), image.pixels[:, :120]], axis=1)
    beside = ModelInput(pixels, Placement(120, 320, 1.0, 1.0))
    asked = query(detector, score_threshold=0.01, max_detections=1000)
    (whole,) = detector.run([replace(beside, placement=Placement(320, 320, 1.0, 1.0))], [asked])
    (rows,) = detector.run([beside], [asked])
    assert whole[0]["score"] > rows[0]["score"]
    assert 4 < len(rows) < len(whole)
    for number in (1, 2, 3, len(rows)):
        asked = query(detector, score_threshold=0.01, max_detections=number)
        assert detector.run([beside], [asked]) == [rows[:number]]


def test_labels_are_chosen_before_the_best(detector: Detector, image: ModelInput) -> None:
    (rows,) = detector.run([image], [query(detector, **LOW, max_detections=1000)])
    last = rows[-1]
    rare = [row for row in rows if row["label"] == last["label"]]
    asked = query(detector, **LOW, max_detections=len(rare), labels=[last["label"]])
    assert detector.run([image], [asked]) == [rare]


class LooksWhereItIsTold:
    """A package that reads regions, and says of each that it is there, with a score of 1."""

    def __init__(self, manifest: DetectionManifest) -> None:
        regions = Tensor(name="regions", dtype="float", shape=("N", "R", 4))
        self.manifest = manifest.model_copy(update={"inputs": (*manifest.inputs, regions)})
        self.fed: dict[str, np.ndarray] = {}

    def run(self, feeds: dict[str, np.ndarray], *, alone: bool) -> dict[str, np.ndarray]:
        self.fed, regions = feeds, feeds["regions"]
        shape = regions.shape[:2]
        return {
            "num_detections": (regions[..., 2] > regions[..., 0]).sum(axis=1),
            "boxes": regions,
            "scores": np.ones(shape, np.float32),
            "labels": np.zeros(shape, np.int64),
        }


def test_regions_are_looked_at_where_they_lie_in_the_photo(detector: Detector) -> None:
    package = LooksWhereItIsTold(detector.manifest)
    side = detector.manifest.input.width
    image = ModelInput(
        np.zeros((side, side, 3), np.uint8), Placement(200, 100, 0.5, 0.5, left=10, top=20)
    )
    one = replace(query(detector), regions=((20.0, 10.0, 120.0, 90.0),))
    two = replace(query(detector), regions=((0.0, 0.0, 200.0, 100.0), (1.0, 2.0, 3.0, 4.0)))
    first, second = Detector(package).run([image, image], [one, two])
    assert package.fed["regions"].tolist() == [
        [[20, 25, 70, 65], [0, 0, 0, 0]],
        [[10, 20, 110, 70], [10.5, 21, 11.5, 22]],
    ]
    assert [row["box"] for row in first] == [[20, 10, 120, 90]]
    assert [row["box"] for row in second] == [[0, 0, 200, 100], [1, 2, 3, 4]]


def test_regions_are_for_a_model_that_must_be_told(detector: Detector) -> None:
    asked = {"regions": [[1.0, 2.0, 3.0, 4.0]]}
    with pytest.raises(Problem, match="efficientdet_lite0_voc looks everywhere; leave them out"):
        query(detector, **asked)
    told = Detector(LooksWhereItIsTold(detector.manifest))
    assert query(told, **asked).regions == ((1.0, 2.0, 3.0, 4.0),)
    with pytest.raises(Problem, match="those of detect are of every image"):
        query(told, regions=[[0.0, 1.0, 2.0, 3.0, 4.0]])


def test_without_regions_those_of_the_photo_are_proposed(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def whole(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels.shape)
        return np.array([[0, 0, pixels.shape[1], pixels.shape[0]]], np.float32)

    monkeypatch.setattr(served, "propose", whole)
    monkeypatch.setattr(served, "check_proposals", lambda: None)
    side = detector.manifest.input.width
    image = ModelInput(
        np.zeros((side, side, 3), np.uint8), Placement(200, 100, 0.5, 0.5, left=10, top=20)
    )
    (rows,) = Detector(LooksWhereItIsTold(detector.manifest)).run([image], [query(detector)])
    assert seen == [(50, 100, 3)]  # of the input, without what the photo leaves empty
    assert [row["box"] for row in rows] == [[0, 0, 200, 100]]

    def nothing() -> None:
        raise NoProposals("nothing proposes")

    monkeypatch.setattr(served, "check_proposals", nothing)
    with pytest.raises(Problem, match="regions: none are given, and nothing proposes"):
        query(Detector(LooksWhereItIsTold(detector.manifest)))  # before it is run with others


def test_a_region_beside_the_photo_is_this_photos_error_alone(detector: Detector) -> None:
    """It is found while photos are sorted into batches; what of one lies beyond is cut off."""
    told = Detector(LooksWhereItIsTold(detector.manifest))
    side = detector.manifest.input.width
    image = ModelInput(np.zeros((side, side, 3), np.uint8), Placement(200, 100, 1.0, 1.0))
    beyond = replace(query(detector), regions=((-50.0, 10.0, 5000.0, 90.0),))
    told.group(image, beyond)
    (rows,) = told.run([image], [beyond])
    assert [row["box"] for row in rows] == [[0, 10, 200, 90]]
    beside = replace(query(detector), regions=((1.0, 2.0, 3.0, 4.0), (200.0, 0.0, 300.0, 9.0)))
    with pytest.raises(Problem, match="200,0,300,9 lies outside the image of 200 x 100") as caught:
        told.group(image, beside)
    assert caught.value.code == "region_outside"
