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
    assert set(request.read_files()) == {"manifest.json", "model.onnx"}


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
    with pytest.raises(BulkError, match=r"--top-k is for classifiers; .* is a detector"):
        read_request(settings, DETECTOR, {"top_k": 3})
    with pytest.raises(Problem, match=r"score_threshold = 1.5"):
        read_request(settings, DETECTOR, {"score_threshold": 1.5})
