"""What is asked beside the photo, in whatever a caller keeps it."""

from collections.abc import Iterable

import numpy as np
import pytest
from boxport_client import Box
from boxport_client._parameters import ClassifyParameters, DetectParameters


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "dog"],
        ("cat", "dog"),
        {"dog", "cat"},
        {"cat": 1, "dog": 2},
        {"cat": 1, "dog": 2}.keys(),
        np.array(["cat", "dog"]),
        (label for label in ("cat", "dog")),
    ],
    ids=["list", "tuple", "set", "dict", "keys", "array", "generator"],
)
def test_labels_may_stand_in_anything(labels: Iterable[str]) -> None:
    parameters = DetectParameters(labels=labels)
    for _ in range(2):  # each photo is asked about with the same ones
        assert parameters.query == "labels=cat&labels=dog"
        assert parameters.to_dict() == {"call": "detect", "labels": ["cat", "dog"]}


@pytest.mark.parametrize("labels", [[], (), set(), {}, np.array([]), iter([])])
def test_no_label_at_all_is_refused_and_not_taken_for_all(labels: Iterable[str]) -> None:
    with pytest.raises(ValueError, match="labels is empty: give at least one, or None for all"):
        DetectParameters(labels=labels)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tile": 100.5}, "tile must be a whole number of pixels, at least 1, not 100.5"),
        ({"tile": "640"}, "tile must be a whole number"),
        ({"max_side": 0}, "max_side must be a whole number"),
        ({"overlap": 0.95}, r"overlap must be in 0..0.9, not 0.95"),
        ({"overlap": float("nan")}, "overlap must be in"),
    ],
)
def test_what_the_client_would_fail_on_later_is_refused(given: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DetectParameters(**given)
    assert DetectParameters(tile=np.int64(640), overlap=0.9).tile == 640


def test_one_label_is_no_list_of_letters() -> None:
    assert DetectParameters(labels="cat").query == "labels=cat"
    assert DetectParameters(labels=np.str_("cat")).query == "labels=cat"


@pytest.mark.parametrize(
    "regions",
    [
        [[1, 2.5, 300, 1e3]],
        [Box(1, 2.5, 300, 1000)],
        ((1, 2.5, 300, 1000),),
        np.array([[1, 2.5, 300, 1000]], np.float32),
    ],
    ids=["list", "boxes", "tuple", "array"],
)
@pytest.mark.parametrize("kind", [ClassifyParameters, DetectParameters])
def test_regions_may_stand_in_anything(kind: type, regions: Iterable) -> None:
    parameters = kind(regions=iter(regions), region_padding=0.5)
    for _ in range(2):
        assert parameters.query == "regions=1%2C2.5%2C300%2C1000&region_padding=0.5"
        sides = [[1.0, 2.5, 300.0, 1000.0]]
        assert parameters.to_dict() == {
            "call": kind.call,
            "regions": sides,
            "region_padding": 0.5,
        }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"regions": []}, "regions is empty"),
        ({"regions": [1, 2, 3, 4]}, "regions: 1 is not left, top, right, bottom"),
        ({"regions": [[1, 2, 3]]}, r"regions: \[1, 2, 3\] is not left"),
        ({"regions": [[1, 2, 3, float("nan")]]}, "is not left, top, right, bottom"),
        ({"regions": ["1,2,3,4"]}, "regions: '1,2,3,4' is not left"),
        ({"regions": [[1, 2, 3, 4]], "max_side": 640}, "max_side: regions are in pixels of"),
    ],
)
@pytest.mark.parametrize("kind", [ClassifyParameters, DetectParameters])
def test_what_are_no_regions_is_refused(kind: type, given: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**given)


def test_tiles_have_no_pixels_of_the_photo() -> None:
    with pytest.raises(ValueError, match="tile: regions are in pixels of the photo as it is"):
        DetectParameters(regions=[[1, 2, 3, 4]], tile=640)
