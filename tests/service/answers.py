"""Comparing answers to one photo."""

from typing import Any

import pytest


def assert_close(result: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same detections, but for what another batch makes of scores and boxes."""
    assert (result["width"], result["height"]) == (expected["width"], expected["height"])
    assert len(result["detections"]) == len(expected["detections"])
    for one, other in zip(result["detections"], expected["detections"], strict=True):
        assert (one["label"], one["label_id"]) == (other["label"], other["label_id"])
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
        assert one["box"] == pytest.approx(other["box"], abs=0.01)
