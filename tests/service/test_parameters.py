"""Parameters are read from text and JSON alike; what is wrong is named."""

import pytest

from service.parameters import ClassifyParameters, DetectParameters, read_parameters
from service.problems import MAX_DETAIL, Problem


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


@pytest.mark.parametrize("value", [7, 7.0, "7", "7.0"])
def test_whole_number_may_be_written_as_json_has_it(value: object) -> None:
    texts, typed = ({"top_k": value}, {}) if isinstance(value, str) else ({}, {"top_k": value})
    assert read_parameters(ClassifyParameters, texts, typed).top_k == 7


@pytest.mark.parametrize("value", [7.5, 1e300, True, "7"])
def test_json_that_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(Problem, match="max_detections"):
        read_parameters(DetectParameters, {}, {"max_detections": value})


@pytest.mark.parametrize("name", ["threshold", "top_k", "region", "Model", ""])
def test_unknown_parameter_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(Problem, match="score_threshold") as caught:
        read_parameters(DetectParameters, {name: "1"})
    assert caught.value.code == "unknown_parameter"


def test_each_task_has_its_own() -> None:
    assert read_parameters(ClassifyParameters, {"top_k": "3"}).top_k == 3
    with pytest.raises(Problem, match="score_threshold"):
        read_parameters(ClassifyParameters, {"score_threshold": 0.5})


@pytest.mark.parametrize(
    ("texts", "typed"),
    [
        ({"m" * 3_000_000: "1"}, {}),
        ({"score_threshold": "n" * 3_000_000}, {}),
        ({}, {"labels": "n" * 3_000_000}),
        ({}, {"labels": [["n" * 3_000_000]] * 1000}),
        ({}, {"model": {"n" * 3_000_000: ["m" * 3_000_000]}}),
    ],
)
def test_what_is_wrong_is_quoted_in_short(texts: dict, typed: dict) -> None:
    with pytest.raises(Problem) as caught:
        read_parameters(DetectParameters, texts, typed)
    assert len(caught.value.detail) < 600
    assert "..." in caught.value.detail


def test_no_detail_is_without_end() -> None:
    problem = Problem("malformed_body", "m" * 3_000_000)
    assert len(problem.detail) == len(str(problem)) == MAX_DETAIL


@pytest.mark.parametrize(
    "text", ["10,20.5,30,40", " 10 , 20.5, 3e1, 40 ", "[10,20.5,30,40]", "[ 10, 20.5, 30, 40 ]"]
)
def test_a_region_as_text_is_the_one_in_json(text: str) -> None:
    typed = {"regions": [[10, 20.5, 30, 40]]}
    expected = read_parameters(ClassifyParameters, {}, typed)
    assert read_parameters(ClassifyParameters, {"regions": [text]}) == expected
    assert expected.regions == [[10.0, 20.5, 30.0, 40.0]]


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ("1,2,3", "four numbers"),
        ("1,2,3,4,5,6", "four numbers"),
        ("-1,2,3,4,5", "The image's place"),
        ("0.5,2,3,4,5", "The image's place"),
        ("1,2,3,2,5", "It is empty"),
        ("1,2,3,x", "four numbers"),
        ("", "four numbers"),
        ("nan,0,1,1", "no finite number"),
        ("0,0,inf,1", "no finite number"),
        ("5,0,5,1", "It is empty"),
        ("0,3,1,2", "It is empty"),
        ([1, 2, 3], "four numbers"),
        ([1, 2, 3, "4"], "valid number"),
        ([1, 2, 3, None], "valid number"),
        ([3, 2, 1, 4], "It is empty"),
        (7, "valid list"),
        ({"box": [1, 2, 3, 4]}, "valid list"),
    ],
)
def test_what_is_no_region_is_refused_in_one_line(region: object, told: str) -> None:
    sent = {"regions": [[0, 0, 9, 9], region] if not isinstance(region, str) else [region]}
    texts, typed = (sent, {}) if isinstance(region, str) else ({}, sent)
    with pytest.raises(Problem, match=told) as caught:
        read_parameters(ClassifyParameters, texts, typed)
    assert caught.value.code == "invalid_parameter"
    assert caught.value.detail.startswith("regions = ")
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize("regions", [[], [[]], "0,0,1,1", None, {}])
def test_regions_are_a_list_of_at_least_one(regions: object) -> None:
    if regions is None:
        assert read_parameters(ClassifyParameters, {}, {"regions": None}).regions is None
        return
    with pytest.raises(Problem, match="regions") as caught:
        read_parameters(ClassifyParameters, {}, {"regions": regions})
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("region_padding", -0.1),
        ("region_padding", 1.1),
        ("region_padding", "wide"),
        ("region_padding", "nan"),
        ("region_resize", "crop"),
        ("region_resize", 1),
    ],
)
def test_context_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    sent = {"regions": ["0,0,1,1"], name: value}
    with pytest.raises(Problem, match=name) as caught:
        read_parameters(ClassifyParameters, sent)
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    ("kind", "name", "value", "needed"),
    [
        (ClassifyParameters, "region_padding", 0.1, "regions"),
        (ClassifyParameters, "region_resize", "warp", "regions"),
        (DetectParameters, "region_padding", 0.0, "then"),
        (DetectParameters, "region_resize", "model", "then"),
        (DetectParameters, "top_k", 1, "then"),
    ],
)
def test_what_means_nothing_alone_is_refused(
    kind: type, name: str, value: object, needed: str
) -> None:
    with pytest.raises(Problem, match=f"There is no parameter '{name}' without {needed}") as caught:
        read_parameters(kind, {}, {name: value})
    assert caught.value.code == "unknown_parameter"
    beside = {"regions": ["0,0,1,1"]} if needed == "regions" else {needed: "pets"}
    assert getattr(read_parameters(kind, beside, {name: value}), name) == value
