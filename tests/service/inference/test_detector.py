"""What one run of a detector's graph can serve."""

import json
import shutil
from pathlib import Path

import pytest

from export.photos import read_photo
from service.inference.detector import Detector
from service.inference.task import Job
from service.package import PackageError, open_package, verify_package
from service.parameters import DetectParameters

LOW = {"score_threshold": 0.02, "iou_threshold": 0.3}


@pytest.fixture(scope="module")
def detector(store: Path) -> Detector:
    return Detector(open_package(store / "efficientdet_lite0_voc" / "1"))


def job(detector: Detector, photos: Path, **parameters: object) -> Job:
    image = read_photo(photos / "cat.jpg", detector.manifest.input)
    return Job(image, detector.to_query(DetectParameters(**parameters)))


def test_what_decides_suppression_divides_jobs(detector: Detector, photos: Path) -> None:
    plain = detector.group(job(detector, photos))
    for same in ({"score_threshold": 0.9}, {"max_detections": 1}, {"class_agnostic": False}):
        assert detector.group(job(detector, photos, **same)) == plain
    for other in ({"iou_threshold": 0.4}, {"class_agnostic": True}):
        assert detector.group(job(detector, photos, **other)) != plain


def test_class_agnostic_run_gives_each_box_once(detector: Detector, photos: Path) -> None:
    (by_label,) = detector.run([job(detector, photos, **LOW)])
    first, second = detector.run(
        [
            job(detector, photos, **LOW, class_agnostic=True),
            job(detector, photos, **LOW, class_agnostic=True, max_detections=2),
        ]
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
