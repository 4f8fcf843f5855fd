"""Two results, compared."""

import pytest

from service.manifest import ModelManifest, read_manifest
from service.rollout.comparison import compare
from service.rollout.statistics import Tally, mean, ratio
from tests.paths import ROOT

DETECTOR = ROOT / "model_store" / "efficientdet_lite0_voc" / "1" / "manifest.json"
HERE, THERE = [10.0, 10.0, 50.0, 50.0], [90.0, 90.0, 130.0, 130.0]


@pytest.fixture(scope="module")
def detector() -> ModelManifest:
    return read_manifest(DETECTOR)


def row(detector: ModelManifest, label: int, box: list[float], score: float = 0.9) -> dict:
    named = detector.labels[label]
    return {"box": box, "score": score, "label": named.name, "label_id": named.id}


def test_detections(detector: ModelManifest) -> None:
    tally = Tally()
    own = {"detections": [row(detector, 7, HERE, 0.8), row(detector, 11, THERE)]}
    other = {"detections": [row(detector, 7, HERE, 0.9), row(detector, 12, THERE)]}
    compare(tally, detector, own, other)
    agreed, relabelled = ratio(tally.agreement), ratio(tally.relabelled)
    assert agreed is not None
    assert relabelled is not None
    assert (agreed.value, relabelled.value) == (0.5, 0.5)
    difference = mean(tally.scores)
    assert difference is not None
    assert difference.value == pytest.approx(0.1)
    assert list(tally.photos) == [1, 0, 0]


def test_the_same_id_under_another_name_is_another_label(detector: ModelManifest) -> None:
    tally = Tally()
    cat = row(detector, 7, HERE)
    compare(tally, detector, {"detections": [{**cat, "label": "dog"}]}, {"detections": [cat]})
    agreed = ratio(tally.agreement)
    assert agreed is not None
    assert agreed.value == 0


def test_nothing_found_by_either_is_no_agreement(detector: ModelManifest) -> None:
    tally = Tally()
    compare(tally, detector, {"detections": []}, {"detections": []})
    assert ratio(tally.agreement) is None
    assert list(tally.photos) == [1, 0, 0]


def test_classes(manifest: ModelManifest) -> None:
    def result(*scores: tuple[int, float]) -> dict:
        rows = [
            {"label": manifest.labels[i].name, "label_id": manifest.labels[i].id, "score": score}
            for i, score in scores
        ]
        return {"classifications": rows}

    tally = Tally()
    compare(tally, manifest, result((1, 0.6), (2, 0.3)), result((1, 0.7), (3, 0.2)))
    compare(tally, manifest, result((1, 0.6)), result((2, 0.7)))
    agreed = ratio(tally.agreement)
    assert agreed is not None
    assert agreed.value == 0.5
    difference = mean(tally.scores)
    assert difference is not None
    assert difference.value == pytest.approx(0.1)
