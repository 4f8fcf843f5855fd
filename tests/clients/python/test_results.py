"""Results say what the service said, cannot be changed, and come back from a dict as they were."""

from __future__ import annotations

import dataclasses
import json
import pickle
import time

import numpy as np
import pytest
from boxport_client import (
    Box,
    Classification,
    ClassificationResult,
    Detection,
    DetectionResult,
    ModelReference,
)
from PIL import Image

MODEL = {"name": "pets", "version": "2", "sha256": "0" * 64}
CAT = {"box": [10.5, 20.0, 110.5, 70.0], "score": 0.9, "label": "cat", "label_id": 8}
DOG = {"box": [0.0, 0.0, 30.0, 40.0], "score": 0.6, "label": "dog", "label_id": 12}
KITTEN = {"box": [100.0, 50.0, 110.0, 60.0], "score": 0.3, "label": "cat", "label_id": 8}


def answer(*rows: dict, kind: str = "detections") -> dict:
    return {
        "model": MODEL,
        "request_id": "r1",
        "results": [{"width": 200, "height": 100, kind: list(rows)}],
        "timing_ms": {"decode": 1.5, "total": 9.0},
    }


@pytest.fixture
def result() -> DetectionResult:
    return DetectionResult.from_answer(answer(CAT, DOG, KITTEN))


@pytest.fixture
def classes() -> ClassificationResult:
    rows = [
        {"label": name, "label_id": index, "score": score}
        for index, (name, score) in enumerate(
            [("espresso", 0.9), ("cup", 0.05), ("tea", 0.03), ("soup", 0.02)]
        )
    ]
    return ClassificationResult.from_answer(answer(*rows, kind="classifications"))


class TestBox:
    box = Box(10, 20, 40, 60)

    def test_forms(self) -> None:
        assert self.box.xyxy == (10, 20, 40, 60)
        assert self.box.xywh == (10, 20, 30, 40)
        assert self.box.normalized(100, 200) == (0.1, 0.1, 0.4, 0.3)
        assert (self.box.width, self.box.height, self.box.area) == (30, 40, 1200)
        assert self.box.centre == (25, 40)
        assert self.box.shifted(5, -20) == Box(15, 0, 45, 40)

    @pytest.mark.parametrize("box", [Box(4, 0, 1, 9), Box(4, 9, 8, 0), Box(5, 0, 1, -9)])
    def test_a_box_turned_over_has_no_area(self, box: Box) -> None:
        assert box.area == 0

    @pytest.mark.parametrize(
        ("other", "shared", "iou"),
        [
            (Box(10, 20, 40, 60), 1200, 1),
            (Box(10, 20, 40, 40), 600, 0.5),
            (Box(25, 40, 55, 80), 300, 300 / 2100),
            (Box(40, 20, 70, 60), 0, 0),  # the edge alone
            (Box(90, 90, 99, 99), 0, 0),
            (Box(15, 30, 15, 50), 0, 0),
        ],
    )
    def test_iou(self, other: Box, shared: float, iou: float) -> None:
        assert self.box.intersection(other) == other.intersection(self.box) == shared
        assert self.box.iou(other) == other.iou(self.box) == pytest.approx(iou)

    def test_two_points_have_no_iou(self) -> None:
        assert Box(1, 1, 1, 1).iou(Box(1, 1, 1, 1)) == 0


def test_answer_is_read(result: DetectionResult, classes: ClassificationResult) -> None:
    assert result.detections[0] == Detection(Box(10.5, 20, 110.5, 70), 0.9, "cat", 8)
    assert (result.width, result.height, len(result)) == (200, 100, 3)
    assert result.model == ModelReference("pets", "2", "0" * 64)
    assert (result.request_id, result.timing_ms["total"]) == ("r1", 9.0)
    assert [detection.label for detection in result] == ["cat", "dog", "cat"]
    assert classes.best == Classification("espresso", 0, 0.9)
    assert [one.label_id for one in classes] == [0, 1, 2, 3]


def test_fields_of_a_later_service_do_no_harm() -> None:
    later = answer({**CAT, "mask": []})
    later["model"] = {**MODEL, "precision": "int8"}
    assert DetectionResult.from_answer(later).model.name == "pets"


def test_results_cannot_be_changed(result: DetectionResult, classes: ClassificationResult) -> None:
    for value in (result, result.detections[0], result.model, classes, classes.best):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.width = 3
    with pytest.raises(AttributeError):
        result.detections[0].box.left = 3


def test_dict_is_the_services_json(result: DetectionResult, classes: ClassificationResult) -> None:
    assert result.to_dict() == {
        "width": 200,
        "height": 100,
        "detections": [CAT, DOG, KITTEN],
        "model": MODEL,
        "request_id": "r1",
        "timing_ms": {"decode": 1.5, "total": 9.0},
    }
    first = {"label": "espresso", "label_id": 0, "score": 0.9}
    assert classes.to_dict()["classifications"][0] == first


def test_round_trips(result: DetectionResult, classes: ClassificationResult) -> None:
    empty = result.filter(score=1)
    for value in (result, empty, classes):
        again = type(value).from_dict(json.loads(json.dumps(value.to_dict())))
        assert again == value
        assert pickle.loads(pickle.dumps(value)) == value
    assert isinstance(DetectionResult.from_dict(result.to_dict()).detections[0].box, Box)


@pytest.mark.parametrize("kind", [DetectionResult, ClassificationResult])
@pytest.mark.parametrize("content", [{}, [], {"width": 1, "height": 2}, {"width": None}])
def test_what_is_not_the_dict_of_a_result(kind: type, content: object) -> None:
    with pytest.raises(ValueError, match=f"this is not the dict of a {kind.__name__}"):
        kind.from_dict(content)


def test_dict_of_the_other_kind(result: DetectionResult) -> None:
    with pytest.raises(
        ValueError, match=r"not the dict of a ClassificationResult.*classifications"
    ):
        ClassificationResult.from_dict(result.to_dict())


def test_what_changes_a_dict_leaves_the_result(result: DetectionResult) -> None:
    content = result.to_dict()
    content["timing_ms"]["total"] = 0
    content["detections"][0]["box"][0] = 0
    assert result.timing_ms["total"] == 9.0
    assert result.detections[0].box.left == 10.5


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ({}, ["cat", "dog", "cat"]),
        ({"score": 0.6}, ["cat"]),  # above it, as the service has it
        ({"score": 0.59}, ["cat", "dog"]),
        ({"labels": ["dog", "cow"]}, ["dog"]),
        ({"labels": "dog"}, ["dog"]),
        ({"labels": iter(["cat"])}, ["cat", "cat"]),
        ({"labels": []}, []),
        ({"min_area": 1200}, ["cat", "dog"]),
        ({"min_area": 1200.1}, ["cat"]),
        ({"score": 0.1, "labels": ["cat"], "min_area": 101}, ["cat"]),
    ],
)
def test_filter(result: DetectionResult, condition: dict, left: list[str]) -> None:
    kept = result.filter(**condition)
    assert [detection.label for detection in kept] == left
    assert (kept.width, kept.model, kept.request_id) == (200, result.model, "r1")
    assert len(result) == 3


def test_labels_and_counts(result: DetectionResult) -> None:
    assert result.labels == ("cat", "dog")
    assert result.counts == {"cat": 2, "dog": 1}


def test_repr_says_what_matters(result: DetectionResult, classes: ClassificationResult) -> None:
    assert repr(result) == "<DetectionResult 200 x 100: 2 cat, 1 dog; pets/2>"
    assert repr(result.filter(score=1)) == "<DetectionResult 200 x 100: nothing found; pets/2>"
    assert repr(classes) == (
        "<ClassificationResult 200 x 100: espresso 0.90, cup 0.05, tea 0.03, ...; pets/2>"
    )


class TestCrop:
    """On a picture whose red is the column and whose green is the row."""

    @pytest.fixture
    def photo(self) -> Image.Image:
        rows, columns = np.mgrid[0:100, 0:200].astype(np.uint8)
        return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=-1))

    def area(self, part: Image.Image) -> tuple[int, ...]:
        """First and last column and row."""
        first, last = part.getpixel((0, 0)), part.getpixel((part.width - 1, part.height - 1))
        return (*first[:2], *last[:2])

    def test_every_pixel_that_a_box_touches(
        self, result: DetectionResult, photo: Image.Image
    ) -> None:
        parts = result.crop(photo)
        assert [self.area(part) for part in parts] == [
            (10, 20, 110, 69),
            (0, 0, 29, 39),
            (100, 50, 109, 59),
        ]
        assert self.area(result.detections[0].crop(photo)) == (10, 20, 110, 69)

    def test_margin_ends_at_the_border(self, result: DetectionResult, photo: Image.Image) -> None:
        assert self.area(result.detections[0].crop(photo, margin=0.1)) == (0, 15, 120, 74)
        assert self.area(result.crop(photo, margin=9)[0]) == (0, 0, 199, 99)

    @pytest.mark.parametrize("box", [Box(5, 7, 5, 7), Box(5.2, 7.5, 5.4, 7.6)])
    def test_a_point_is_a_pixel(self, box: Box, photo: Image.Image) -> None:
        assert self.area(Detection(box, 1, "dot", 0).crop(photo)) == (5, 7, 5, 7)

    def test_a_box_on_the_border_has_the_pixels_there(self, photo: Image.Image) -> None:
        corner = Detection(Box(200, 100, 200, 100), 1, "dot", 0)
        assert self.area(corner.crop(photo)) == (199, 99, 199, 99)

    @pytest.mark.parametrize("box", [Box(201, 0, 210, 9), Box(-9, 0, -1, 9), Box(0, 101, 9, 120)])
    def test_a_box_outside(self, box: Box, photo: Image.Image) -> None:
        with pytest.raises(ValueError, match="lies outside the photo of 200 x 100"):
            Detection(box, 1, "cat", 0).crop(photo)

    def test_wrong_parameters(self, result: DetectionResult, photo: Image.Image) -> None:
        with pytest.raises(ValueError, match="margin is -1"):
            result.crop(photo, margin=-1)
        with pytest.raises(ValueError, match="the photo is 100 x 200"):
            result.crop(photo.transpose(Image.Transpose.ROTATE_90))

    def test_pixels_are_those_that_the_service_sees(self, result: DetectionResult) -> None:
        clear = Image.new("RGBA", (200, 100), (255, 0, 0, 0))
        assert result.crop(clear)[0].getpixel((0, 0)) == (255, 255, 255)
        deep = Image.fromarray(np.full((100, 200), 257 * 77, dtype=np.uint16))
        assert result.crop(deep)[0].getpixel((0, 0)) == (77, 77, 77)
        lying = Image.new("RGB", (100, 200))
        lying.getexif()[0x0112] = 6
        assert result.crop(lying)[0].size == (101, 50)


def test_reading_an_answer_is_cheap() -> None:
    """Of the .3 ms that the client may add to a request."""
    twenty = answer(*[CAT] * 20)
    times = []
    for _ in range(200):
        begin = time.thread_time()
        DetectionResult.from_answer(twenty).to_dict()
        times.append(time.thread_time() - begin)
    assert sorted(times)[100] < 150e-6
