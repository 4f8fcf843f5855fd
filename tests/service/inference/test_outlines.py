"""Outlines come with detections, in the photo's pixels, if the model has them and they are asked
for."""

from pathlib import Path

import numpy as np
import pytest

from service.imaging.placement import Placement
from service.imaging.resize import ModelInput
from service.inference.detector import Detector
from service.inference.task import Row
from service.manifest import CONTOURS, DetectionManifest, ManifestError, Tensor, read_manifest
from service.package import Array
from service.parameters import DetectParameters
from service.problems import Problem

SIDE, VERTICES = 320, 8
# a photo of 640 x 400 as it lies on the input: half as large, below 60 empty rows
PLACEMENT = Placement(640, 400, 0.5, 0.5, left=0, top=60)
IMAGE = ModelInput(np.zeros((SIDE, SIDE, 3), np.uint8), PLACEMENT)


@pytest.fixture
def boxes_alone(store: Path) -> DetectionManifest:
    manifest = read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json")
    assert isinstance(manifest, DetectionManifest)
    return manifest


@pytest.fixture
def manifest(boxes_alone: DetectionManifest) -> DetectionManifest:
    contours = Tensor(name=CONTOURS, dtype="float", shape=("N", "K", VERTICES, 2))
    return boxes_alone.model_copy(update={"outputs": (*boxes_alone.outputs, contours)})


class Found:
    """A graph that finds a cat, half of it beside the photo, and a dog that it does not outline."""

    def __init__(self, manifest: DetectionManifest) -> None:
        self.manifest = manifest

    def run(self, feeds: dict[str, Array], *, alone: bool = False) -> dict[str, Array]:
        images = len(feeds["images"])
        contours = np.zeros((images, 2, VERTICES, 2), np.float32)
        turns = np.arange(VERTICES) * 2 * np.pi / VERTICES
        contours[:, 0, :, 0], contours[:, 0, :, 1] = (
            50 + 40 * np.cos(turns),
            60 + 40 * np.sin(turns),
        )
        return {
            "num_detections": np.full(images, 2),
            "boxes": np.tile(np.float32([[10, 20, 90, 100], [5, 70, 9, 80]]), (images, 1, 1)),
            "scores": np.tile(np.float32([0.9, 0.8]), (images, 1)),
            "labels": np.tile([7, 11], (images, 1)),
            "contours": contours,
        }


def detect(manifest: DetectionManifest, **parameters: object) -> list[Row]:
    detector = Detector(Found(manifest))
    (rows,) = detector.run([IMAGE], [detector.to_query(DetectParameters(**parameters))])
    return rows


def test_a_contour_is_clipped_and_in_the_photos_pixels(manifest: DetectionManifest) -> None:
    cat, dog = detect(manifest)
    contour = np.array(cat["contour"])
    assert contour.shape == (VERTICES, 2)
    assert contour[:, 0].tolist() == pytest.approx([180, 156.6, 100, 43.4, 20, 43.4, 100, 156.6])
    assert contour[:, 1].tolist() == pytest.approx([0, 56.6, 80, 56.6, 0, 0, 0, 0])
    assert cat["box"] == [20, 0, 180, 80]
    assert "contour" not in dog


def test_without_contours_the_answer_is_that_of_boxes(manifest: DetectionManifest) -> None:
    plain = detect(manifest, contours=False)
    assert plain == [{k: v for k, v in row.items() if k != "contour"} for row in detect(manifest)]
    assert detect(manifest, contours=True) == detect(manifest)


def test_labels_and_thresholds_choose_contours_too(manifest: DetectionManifest) -> None:
    assert "contour" not in detect(manifest, labels=["dog"])[0]
    assert len(detect(manifest, score_threshold=0.85)) == 1


def test_images_of_one_batch_may_differ_in_what_they_ask(manifest: DetectionManifest) -> None:
    detector = Detector(Found(manifest))
    asked = [DetectParameters(), DetectParameters(contours=False)]
    first, second = detector.run([IMAGE] * 2, [detector.to_query(one) for one in asked])
    assert "contour" in first[0]
    assert "contour" not in second[0]


def test_a_model_of_boxes_alone_is_asked_for_no_outlines(boxes_alone: DetectionManifest) -> None:
    for contours in (None, False):
        assert all("contour" not in row for row in detect(boxes_alone, contours=contours))
    with pytest.raises(Problem, match="contours"):
        detect(boxes_alone, contours=True)


def test_contours_are_the_last_output(manifest: DetectionManifest, tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json").has_contours
    turned = manifest.model_copy(update={"outputs": manifest.outputs[::-1]})
    turned.write(tmp_path / "manifest.json")
    with pytest.raises(ManifestError, match="outputs must be"):
        read_manifest(tmp_path / "manifest.json")
