"""Other programs read the detections as what they are; each of them is the real one."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from boxport_client import (
    Box,
    Detection,
    DetectionResult,
    MissingExtra,
    ModelReference,
    coco_dataset,
)

CAT = Detection(Box(10.5, 20, 110.5, 70), 0.9, "cat", 8)
DOG = Detection(Box(0, 0, 30, 40), 0.6, "dog", 12)
BIRD = Detection(Box(5, 5, 25, 15), 0.5, "bird", 3)


def result(*detections: Detection) -> DetectionResult:
    return DetectionResult(200, 100, detections, ModelReference("m", "1", ""), "r", {})


class TestCoco:
    def test_annotations_of_one_photo(self) -> None:
        assert result(CAT, DOG).to_coco(image_id=7, first_annotation_id=40) == [
            {
                "id": 40,
                "image_id": 7,
                "category_id": 8,
                "bbox": [10.5, 20, 100, 50],
                "area": 5000,
                "iscrowd": 0,
                "score": 0.9,
            },
            {
                "id": 41,
                "image_id": 7,
                "category_id": 12,
                "bbox": [0, 0, 30, 40],
                "area": 1200,
                "iscrowd": 0,
                "score": 0.6,
            },
        ]
        assert result().to_coco(7) == []
        assert result(CAT).to_coco(7)[0]["id"] == 1

    def test_dataset(self) -> None:
        dataset = coco_dataset(
            {"b.jpg": result(CAT, DOG), "none.jpg": result(), "a.jpg": result(BIRD)}
        )
        assert [(image["id"], image["file_name"]) for image in dataset["images"]] == [
            (1, "b.jpg"),
            (2, "none.jpg"),
            (3, "a.jpg"),
        ]
        assert dataset["images"][0] | {"width": 200, "height": 100} == dataset["images"][0]
        assert [(one["id"], one["image_id"]) for one in dataset["annotations"]] == [
            (1, 1),
            (2, 1),
            (3, 3),
        ]
        assert [(one["id"], one["name"]) for one in dataset["categories"]] == [
            (3, "bird"),
            (8, "cat"),
            (12, "dog"),
        ]

    def test_categories_that_were_not_found(self) -> None:
        dataset = coco_dataset({"a.jpg": result(CAT)}, categories={1: "aeroplane", 8: "cat"})
        assert [one["name"] for one in dataset["categories"]] == ["aeroplane", "cat"]
        assert coco_dataset({})["images"] == []

    def test_answers_of_different_data_sets_are_not_mixed(self) -> None:
        other = Detection(CAT.box, 0.8, "truck", 8)
        with pytest.raises(ValueError, match=r"b.jpg: label_id 8 is 'truck' here and 'cat' else"):
            coco_dataset({"a.jpg": result(CAT), "b.jpg": result(other)})
        with pytest.raises(ValueError, match=r"a.jpg: label_id 8 is 'cat' here and 'truck' else"):
            coco_dataset({"a.jpg": result(CAT)}, categories={8: "truck"})

    def test_pycocotools_reads_and_evaluates_it(self, tmp_path: Path) -> None:
        """Held against itself, every detection is right; without the dog, a third is missing."""
        coco = pytest.importorskip("pycocotools.coco")
        evaluation = pytest.importorskip("pycocotools.cocoeval")
        path = tmp_path / "found.json"
        path.write_text(
            json.dumps(coco_dataset({"a.jpg": result(CAT, DOG), "b.jpg": result(BIRD)}))
        )
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco.COCO(str(path))
            assert truth.loadAnns(truth.getAnnIds(catIds=[12]))[0]["bbox"] == [0, 0, 30, 40]
            precisions = []
            for found in ((CAT, DOG), (CAT,)):
                rows = result(*found).to_coco(1) + result(BIRD).to_coco(2)
                run = evaluation.COCOeval(truth, truth.loadRes(rows), "bbox")
                run.evaluate()
                run.accumulate()
                run.summarize()
                precisions.append(run.stats[0])
        assert precisions == pytest.approx([1, 2 / 3])


class TestPandas:
    columns = ("label", "label_id", "score", "left", "top", "right", "bottom")

    def test_a_row_a_detection(self) -> None:
        pytest.importorskip("pandas")
        frame = result(CAT, DOG).to_pandas()
        assert tuple(frame.columns) == self.columns
        assert list(frame.itertuples(index=False, name=None)) == [
            ("cat", 8, 0.9, 10.5, 20, 110.5, 70),
            ("dog", 12, 0.6, 0, 0, 30, 40),
        ]

    def test_types_stay_without_a_row(self) -> None:
        pandas = pytest.importorskip("pandas")
        full, empty = result(CAT).to_pandas(), result().to_pandas()
        assert list(empty.dtypes) == list(full.dtypes)
        assert empty.shape == (0, 7)
        assert len(pandas.concat([full, empty])) == 1
        assert full[full.label == "cat"].score.mean() == 0.9


class TestSupervision:
    def test_detections(self) -> None:
        supervision = pytest.importorskip("supervision")
        found = result(CAT, DOG).to_supervision()
        assert isinstance(found, supervision.Detections)
        np.testing.assert_array_equal(found.xyxy, [[10.5, 20, 110.5, 70], [0, 0, 30, 40]])
        np.testing.assert_allclose(found.confidence, [0.9, 0.6], rtol=1e-6)
        assert found.class_id.tolist() == [8, 12]
        assert found.data["class_name"].tolist() == ["cat", "dog"]
        assert found.xyxy.dtype == found.confidence.dtype == np.float32

    def test_it_goes_on_from_there(self) -> None:
        """Filtering, NMS, tracking and drawing are what one wants it for."""
        supervision = pytest.importorskip("supervision")
        twin = Detection(CAT.box.shifted(1, 1), 0.7, "cat", 8)
        found = result(CAT, twin, DOG).to_supervision()
        assert found.with_nms(0.5).data["class_name"].tolist() == ["cat", "dog"]
        assert len(found[found.confidence > 0.8]) == 1
        drawn = supervision.BoxAnnotator().annotate(np.zeros((100, 200, 3), np.uint8), found)
        assert drawn.any()

    def test_nothing_found(self) -> None:
        supervision = pytest.importorskip("supervision")
        none = result().to_supervision()
        assert len(none) == 0
        assert none.xyxy.shape == (0, 4)
        both = supervision.Detections.merge([none, result(CAT).to_supervision()])
        assert both.data["class_name"].tolist() == ["cat"]


@pytest.mark.parametrize(
    ("method", "package"), [("to_pandas", "pandas"), ("to_supervision", "supervision")]
)
def test_what_is_missing_is_said_in_one_line(
    method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=f"{method} needs {package}: pip install {package}$"):
        getattr(result(CAT), method)()
