"""Detections of two models are matched one to one, by label and overlap."""

import numpy as np
import pytest

from service.matching import SAME_OBJECT, Criteria, Detections, Match, box_iou, match

BOX, NEAR, FAR = (10, 10, 50, 50), (12, 10, 52, 50), (90, 90, 130, 130)


def found(*rows: tuple[tuple[int, ...], float, int]) -> Detections:
    """Detections of rows (box, score, label)."""
    return Detections.from_rows(
        [{"box": box, "score": score, "label_id": label} for box, score, label in rows]
    )


def test_the_greatest_overlap_is_matched_first() -> None:
    first = found((NEAR, 0.9, 1), (BOX, 0.5, 1), (FAR, 0.4, 1))
    second = found((BOX, 0.8, 1), (BOX, 0.7, 2))
    assert match(first, second, SAME_OBJECT) == [Match(1, 0, 1.0)]


def test_of_equal_overlaps_the_nearer_score_is_matched() -> None:
    matches = match(found((BOX, 0.5, 1)), found((BOX, 0.9, 1), (BOX, 0.4, 1)), SAME_OBJECT)
    assert matches == [Match(0, 1, 1.0)]


@pytest.mark.parametrize(
    ("criteria", "matched"),
    [
        (Criteria(iou=0.9), True),
        (Criteria(iou=0.91), False),
        (Criteria(iou=0.9, score=0.2), True),
        (Criteria(iou=0.9, score=0.05), False),
        (Criteria(iou=0.9, box_px=2), True),
        (Criteria(iou=0.9, box_px=1.9), False),
    ],
)
def test_criteria_bound_the_differences(criteria: Criteria, matched: bool) -> None:
    pair = found((BOX, 0.5, 1)), found((NEAR, 0.6, 1))
    assert (len(match(*pair, criteria)) == 1) == matched


def test_nothing_has_no_match() -> None:
    assert match(found(), found((BOX, 0.5, 1)), SAME_OBJECT) == []
    assert match(found(), found(), SAME_OBJECT) == []


def test_rows_past_num_detections_are_left_out() -> None:
    outputs = [np.array([1]), np.zeros((1, 2, 4)), np.array([[0.5, 0]]), np.array([[3, -1]])]
    only = Detections.from_outputs(outputs, 0)
    assert (only.scores.tolist(), only.labels.tolist()) == ([0.5], [3])


def test_overlap_with_and_without_the_last_pixels() -> None:
    boxes = np.array([[0, 0, 9, 9], [5, 0, 14, 9], [30, 5, 30, 5]], np.float32)
    np.testing.assert_allclose(
        box_iou(boxes, boxes, border=1), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]], atol=1e-12
    )
    np.testing.assert_allclose(
        box_iou(boxes, boxes), [[1, 2 / 7, 0], [2 / 7, 1, 0], [0, 0, 0]], atol=1e-12
    )
