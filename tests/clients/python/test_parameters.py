"""What is asked beside the photo, in whatever a caller keeps it."""

from collections.abc import Iterable

import numpy as np
import pytest
from boxport_client._parameters import DetectParameters


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


def test_one_label_is_no_list_of_letters() -> None:
    assert DetectParameters(labels="cat").query == "labels=cat"
    assert DetectParameters(labels=np.str_("cat")).query == "labels=cat"
