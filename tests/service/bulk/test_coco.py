"""The COCO file of a job, as pycocotools reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from service.bulk.coco import write_coco
from service.bulk.folder import Folder
from service.bulk.parts import Parts
from service.manifest import ModelManifest, read_manifest
from service.parameters import DetectParameters


def detection(*box: float) -> dict[str, Any]:
    return {"box": list(box), "score": 0.75, "label": "cat", "label_id": 8}


def row(number: int, *boxes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    size = {"width": 40, "height": 30, "detections": list(boxes), "error": None}
    return {"number": number, "photo": "a/cat.jpg", **size, **fields}


FAILED = {"width": None, "height": None, "detections": None, "error": {"code": "x", "detail": "y"}}


@pytest.fixture
def manifest(store: Path) -> ModelManifest:
    return read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json")


def test_images_and_annotations_have_the_numbers_of_the_photos(
    here: Folder, tmp_path: Path, manifest: ModelManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(here, 4, 2)
    one, two = detection(0.1, 0.2, 10.4, 20.2), detection(1.0, 2.0, 3.0, 5.0)
    parts.write(0, DetectParameters(), [row(0), row(1, **FAILED)])
    parts.write(1, DetectParameters(), [row(2, one, two), row(3, two)])
    write_coco(parts, manifest, here, "found.json")
    data = COCO(str(tmp_path / "found.json"))
    assert [(image["id"], image["file_name"]) for image in data.dataset["images"]] == [
        (1, "a/cat.jpg"),
        (3, "a/cat.jpg"),
        (4, "a/cat.jpg"),
    ]
    found = data.loadAnns(data.getAnnIds(imgIds=[3]))
    assert [(a["id"], a["bbox"], a["area"]) for a in found] == [
        (1, [0.1, 0.2, 10.3, 20.0], 206.0),
        (2, [1.0, 2.0, 2.0, 3.0], 6.0),
    ]
    assert {a["category_id"] for a in data.dataset["annotations"]} == {8}
    assert {c["id"]: c["name"] for c in data.dataset["categories"]} == {
        label.id: label.name for label in manifest.labels
    }
    assert (tmp_path / "found.json").stat().st_size > 0


def test_an_outline_is_a_segmentation_with_its_own_area(
    here: Folder, tmp_path: Path, manifest: ModelManifest
) -> None:
    triangle = [[1.0, 2.0], [1.0, 6.0], [4.0, 6.0]]
    outlined = {**detection(1.0, 2.0, 4.0, 6.0), "contour": triangle}
    parts = Parts(here, 1, 1, outlines=True)
    parts.write(0, DetectParameters(), [row(0, outlined, detection(0.0, 0.0, 2.0, 2.0))])
    write_coco(parts, manifest, here, "found.json")
    first, second = json.loads((tmp_path / "found.json").read_text())["annotations"]
    assert (first["segmentation"], first["area"]) == ([[1, 2, 1, 6, 4, 6]], 6)
    assert "segmentation" not in second
    assert second["area"] == 4


def test_a_job_without_a_detection_is_a_data_set_too(
    here: Folder, tmp_path: Path, manifest: ModelManifest
) -> None:
    parts = Parts(here, 1, 1)
    parts.write(0, DetectParameters(), [row(0, **FAILED)])
    write_coco(parts, manifest, here, "found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    assert (content["images"], content["annotations"]) == ([], [])


def test_a_part_that_cannot_be_read_leaves_no_half_of_a_file(
    here: Folder, tmp_path: Path, manifest: ModelManifest
) -> None:
    parts = Parts(here, 4, 2)
    parts.write(0, DetectParameters(), [row(0), row(1)])
    with pytest.raises(Exception, match=r"part-00001.parquet"):
        write_coco(parts, manifest, here, "found.json")
    assert not (tmp_path / "found.json").exists()
