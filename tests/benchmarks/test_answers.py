"""Answers that count as equal."""

import json

import pytest

from benchmarks.answers import agree, find_rows

CAT = {"box": [3.0, 0.0, 409.0, 300.0], "score": 0.88, "label": "cat"}
DOG = {"box": [5.0, 5.0, 50.0, 50.0], "score": 0.35, "label": "dog"}


@pytest.mark.parametrize(
    "reply",
    [
        {"detections": [CAT]},
        [{"detections": [CAT]}],
        {"results": [{"width": 1, "detections": [CAT]}]},
        {"outputs": [{"data": [json.dumps({"detections": [CAT]})]}]},
    ],
)
def test_rows_are_found_wherever_they_are(reply: object) -> None:
    assert find_rows(reply) == [CAT]


def test_no_rows_are_no_answer() -> None:
    assert find_rows({"detail": "[not json", "code": 3}) is None
    assert find_rows({"detections": []}) == []


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"score": 0.89}, True),
        ({"score": 0.95}, False),
        ({"label": "dog"}, False),
        ({"box": [4.0, 1.0, 408.0, 300.0]}, True),
        ({"box": [3.0, 0.0, 409.0, 310.0]}, False),
    ],
)
def test_small_differences_are_allowed(change: dict, same: bool) -> None:
    assert agree([{**CAT, **change}], [CAT]) == same


def test_what_is_sure_must_be_there() -> None:
    assert agree([CAT], [CAT, DOG])  # the dog is near the threshold
    assert not agree([], [CAT])
    assert not agree([CAT], [CAT, {**DOG, "score": 0.8}])
