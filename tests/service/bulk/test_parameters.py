"""The model and the parameters of a job."""

from pathlib import Path

import pytest

from service.bulk.errors import BulkError
from service.bulk.parameters import find_package, read_request
from service.package import PackageError
from service.problems import Problem
from service.settings import Settings
from tests.packages import CLASSIFIER, break_graph, copy_package

DETECTOR, BEST = "efficientdet_lite0_voc", "retinanet_lite0_voc"


@pytest.fixture
def settings(store: Path) -> Settings:
    return Settings(model_store=store)


def test_the_best_detector_is_asked_by_default(settings: Settings) -> None:
    request = read_request(settings, None, {"score_threshold": 0.5, "labels": None})
    assert request.reference == f"{BEST}/1"
    chosen = settings.model_copy(update={"default_models": (CLASSIFIER, DETECTOR)})
    assert read_request(chosen, None, {}).reference == f"{DETECTOR}/1"
    assert request.parameters == {
        "score_threshold": 0.5,
        "iou_threshold": 0.5,
        "max_detections": 100,
    }
    assert request.given.model == request.reference
    assert [str(package) for package in request.packages] == [request.reference]
    assert set(request.packages[0].read_files()) == {"manifest.json", "model.onnx"}


def test_a_classifier_after_a_detector_is_part_of_the_request(settings: Settings) -> None:
    options = {"then": CLASSIFIER, "region_padding": 0.1}
    request = read_request(settings, DETECTOR, options)
    assert request.reference == f"{DETECTOR}/1, then {CLASSIFIER}/1"
    assert request.given.model_dump(exclude_none=True) == {
        **options,
        "model": f"{DETECTOR}/1",
        "then": f"{CLASSIFIER}/1",  # another version that comes is another job
    }
    assert (request.parameters["top_k"], request.parameters["region_padding"]) == (5, 0.1)
    assert request.model_bytes > read_request(settings, DETECTOR, {}).model_bytes


def test_regions_come_as_text(settings: Settings) -> None:
    request = read_request(settings, CLASSIFIER, {"regions": ["0,10,20.5,40", "1,2,3,4"]})
    assert request.parameters["regions"] == [[0, 10, 20.5, 40], [1, 2, 3, 4]]


def test_a_name_means_its_highest_version(store: Path, tmp_path: Path) -> None:
    for version in (2, 9, 10):
        copy_package(store / CLASSIFIER / "1", tmp_path, "pets", version)
    settings = Settings(model_store=tmp_path)
    assert find_package(settings, "pets").name == "10"
    assert find_package(settings, "pets/9").name == "9"
    assert find_package(settings, None).name == "10", "there is no detector"
    with pytest.raises(BulkError, match=r"pets/3: is no model of .*; there are pets/10, pets/9"):
        find_package(settings, "pets/3")
    break_graph(tmp_path / "pets" / "10")
    with pytest.raises(PackageError, match=r"sha256"):
        read_request(settings, "pets", {})


def test_what_does_not_suit_the_model_is_told_before_anything_starts(settings: Settings) -> None:
    with pytest.raises(BulkError, match=r"--label dragon: .*; there are aeroplane"):
        read_request(settings, DETECTOR, {"labels": ["cat", "dragon"]})
    with pytest.raises(BulkError, match=r"--top-k: .* has only 1000 classes"):
        read_request(settings, CLASSIFIER, {"top_k": 1001})
    with pytest.raises(BulkError, match=r"--top-k is for classifiers; .* --then names a class"):
        read_request(settings, DETECTOR, {"top_k": 3})
    with pytest.raises(BulkError, match=r"--top-k: .* has only 1000 classes"):
        read_request(settings, DETECTOR, {"top_k": 1001, "then": CLASSIFIER})
    with pytest.raises(BulkError, match=r"dragons: is no model of .*; there are"):
        read_request(settings, DETECTOR, {"then": "dragons"})
    with pytest.raises(BulkError, match=rf"--then {BEST}: is a detector; --then names a class"):
        read_request(settings, DETECTOR, {"then": BEST})
    with pytest.raises(BulkError, match=r"--region: .* looks everywhere"):
        read_request(settings, DETECTOR, {"regions": ["0,0,9,9"]})
    with pytest.raises(Problem, match=r"regions = .*: It is empty"):
        read_request(settings, CLASSIFIER, {"regions": ["9,9,0,0"]})
    with pytest.raises(Problem, match=r"101 regions; at most 100 an image"):
        read_request(settings, CLASSIFIER, {"regions": ["0,0,9,9"] * 101})
    with pytest.raises(Problem, match=r"no parameter .*region_padding.* without regions"):
        read_request(settings, CLASSIFIER, {"region_padding": 0.1})
    with pytest.raises(Problem, match=r"score_threshold = 1.5"):
        read_request(settings, DETECTOR, {"score_threshold": 1.5})
