"""Parameters are read from text and JSON alike; what is wrong is named."""

import pytest

from service.parameters import ClassifyParameters, DetectParameters, read_parameters
from service.problems import Problem


def test_text_and_numbers_mean_the_same() -> None:
    text = {"score_threshold": "0.25", "max_detections": "7", "labels": ["cat"]}
    numbers = {"score_threshold": 0.25, "max_detections": 7, "labels": ["cat"]}
    assert read_parameters(DetectParameters, text) == read_parameters(DetectParameters, numbers)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("False", False), ("0", False)]
)
def test_yes_and_no_as_text(text: str, value: bool) -> None:
    parameters = read_parameters(DetectParameters, {"class_agnostic": text})
    assert parameters.class_agnostic is value
    assert read_parameters(DetectParameters, {"class_agnostic": value}) == parameters


def test_nothing_is_filled_in() -> None:
    parameters = read_parameters(DetectParameters, {})
    assert not parameters.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score_threshold", "1.01"),
        ("score_threshold", -0.1),
        ("score_threshold", "high"),
        ("score_threshold", "nan"),
        ("iou_threshold", "inf"),
        ("max_detections", 0),
        ("max_detections", 1001),
        ("max_detections", 2.5),
        ("class_agnostic", "maybe"),
        ("class_agnostic", 2),
        ("class_agnostic", ""),
        ("labels", []),
        ("labels", "cat"),
        ("model", 3),
    ],
)
def test_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(Problem, match=name) as caught:
        read_parameters(DetectParameters, {name: value})
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize("name", ["threshold", "top_k", "Model", ""])
def test_unknown_parameter_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(Problem, match="score_threshold") as caught:
        read_parameters(DetectParameters, {name: "1"})
    assert caught.value.code == "unknown_parameter"


def test_each_task_has_its_own() -> None:
    assert read_parameters(ClassifyParameters, {"top_k": "3"}).top_k == 3
    with pytest.raises(Problem, match="score_threshold"):
        read_parameters(ClassifyParameters, {"score_threshold": 0.5})
