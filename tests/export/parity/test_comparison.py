"""Detections agree with their matches, up to ambiguous ones."""

from dataclasses import replace

import numpy as np
import pytest

from export.parity.cases import Case
from export.parity.comparison import TOLERANCES, Tally, compare_detections
from service.matching import Detections

FP32, INT8 = TOLERANCES["fp32"], TOLERANCES["int8"]
CASE = Case("some", np.zeros((1, 8, 8, 3), np.uint8))


def found(*rows: tuple[float, int, tuple[float, ...]]) -> Detections:
    """Detections of rows (score, label, box)."""
    scores, labels, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
    )


ONE = (0.8, 1, (10.0, 10.0, 50.0, 50.0))
OVERLAPPING = (0.8, 1, (15.0, 10.0, 55.0, 50.0))  # overlaps by .78
OTHER = (0.6, 2, (100.0, 100.0, 150.0, 180.0))


def lost(wanted: Detections, got: Detections, **options: object) -> int:
    tolerance = options.pop("tolerance", FP32)
    return len(compare_detections(wanted, got, CASE, tolerance, Tally(), **options))


def test_same_detections_agree_in_any_order_of_equal_scores() -> None:
    equal = (0.8, 3, OTHER[2])
    tally = Tally()
    assert not len(compare_detections(found(ONE, equal), found(equal, ONE), CASE, FP32, tally))
    assert (tally.compared, tally.score, tally.box, tally.iou, tally.share) == (2, 0, 0, 1, 1)


@pytest.mark.parametrize(
    "other",
    [
        (0.8002, 1, ONE[2]),
        (0.8, 2, ONE[2]),
        (0.8, 1, (10.0, 10.0, 50.0, 50.02)),
        (float("nan"), 1, ONE[2]),
        (0.8, 1, (10.0, 10.0, 50.0, float("nan"))),
    ],
    ids=["score", "label", "box", "score that is no number", "box that is no number"],
)
def test_detection_that_differs_is_lost_on_both_sides(other: tuple) -> None:
    assert lost(found(ONE, OTHER), found(other, OTHER)) == 2
    assert lost(found(other, OTHER), found(ONE, OTHER)) == 2


def test_small_box_must_overlap_too() -> None:
    """A hundredth of a pixel is little, but not of a box of a tenth of a pixel in low precision."""
    thin, wide = (0.8, 1, (10.0, 10.0, 10.1, 50.0)), (0.8, 1, (10.0, 10.0, 11.1, 50.0))
    assert lost(found(thin), found(wide), tolerance=INT8) == 2


def test_one_detection_matches_one_only() -> None:
    assert lost(found(ONE, ONE), found(ONE)) == 1
    assert lost(found(ONE), found(ONE, ONE)) == 1


def test_score_on_the_threshold_may_fall_on_either_side() -> None:
    on_it, above_it = (0.05005, 1, ONE[2]), (0.0503, 1, ONE[2])
    assert lost(found(OTHER, on_it), found(OTHER)) == 0
    assert lost(found(OTHER, above_it), found(OTHER)) == 1


def test_last_place_may_go_to_either_of_equal_scores() -> None:
    case = replace(CASE, max_detections=2)
    last, other = (0.3, 1, ONE[2]), (0.30005, 2, ONE[2])
    pair = found(OTHER, last), found(OTHER, other)
    assert not len(compare_detections(*pair, case, FP32, Tally()))
    assert len(compare_detections(*pair, CASE, FP32, Tally())) == 2  # there was room for both


def test_either_of_two_overlapping_boxes_with_one_score_may_stay() -> None:
    both = found(ONE, OVERLAPPING)
    tally = Tally()
    result = compare_detections(
        found(ONE), found(OVERLAPPING), CASE, FP32, tally, lambda: (both, both)
    )
    assert (len(result), tally.ambiguous) == (0, 2)


def test_what_the_suppressed_box_would_have_suppressed_is_excused_too() -> None:
    third = (0.7, 1, (25.0, 10.0, 65.0, 50.0))  # overlaps OVERLAPPING by .6, ONE by .45
    all_three = found(ONE, OVERLAPPING, third)
    everything = {"candidates": lambda: (all_three, all_three)}
    assert lost(found(ONE, third), found(OVERLAPPING), **everything) == 0
    assert lost(found(ONE, third), found(ONE), **everything) == 1


@pytest.mark.parametrize(
    ("first", "second", "of_first", "of_second"),
    [
        (found(ONE), found(OVERLAPPING), found(ONE), found(OVERLAPPING)),
        (found(ONE), found(OVERLAPPING), found(ONE, OVERLAPPING), found(OVERLAPPING)),
        (found(ONE), found(OVERLAPPING), found(ONE), found(ONE, OVERLAPPING)),
        (found(ONE), found((0.7, *OVERLAPPING[1:])), *[found(ONE, (0.7, *OVERLAPPING[1:]))] * 2),
        (found(ONE), found((0.8, 2, OVERLAPPING[2])), *[found(ONE, (0.8, 2, OVERLAPPING[2]))] * 2),
        (found(ONE), found((0.8, 1, OTHER[2])), *[found(ONE, (0.8, 1, OTHER[2]))] * 2),
    ],
    ids=[
        "a box that moved",
        "one side never had the other's",
        "the other never had this one's",
        "scores that differ",
        "other labels",
        "boxes apart",
    ],
)
def test_no_excuse_is_taken_for(
    first: Detections, second: Detections, of_first: Detections, of_second: Detections
) -> None:
    assert lost(first, second, candidates=lambda: (of_first, of_second)) == 2


def test_boxes_of_other_labels_are_ambiguous_where_classes_suppress_each_other() -> None:
    other_label = (0.8, 2, OVERLAPPING[2])
    both = found(ONE, other_label)
    case = replace(CASE, class_agnostic=True)
    one, other = found(ONE), found(other_label)
    assert not len(compare_detections(one, other, case, FP32, Tally(), lambda: (both, both)))


def test_answer_below_the_last_place_of_the_other_side_is_no_excuse() -> None:
    """A graph that puts a worse detection in the last place has lost the better one."""
    case = replace(CASE, max_detections=2)
    last, worse = (0.3, 1, ONE[2]), (0.1, 1, ONE[2])
    result = compare_detections(found(OTHER, last), found(OTHER, worse), case, FP32, Tally())
    assert result.scores.tolist() == pytest.approx([0.3])


@pytest.mark.parametrize(("iou_threshold", "lost"), [(7 / 9, 0), (0.75, 1), (0.8, 1)])
def test_overlap_on_the_threshold_may_fall_on_either_side(iou_threshold: float, lost: int) -> None:
    lower = (0.7, 1, OVERLAPPING[2])
    both = found(ONE, lower)
    case = replace(CASE, iou_threshold=iou_threshold)
    for sides in ((both, found(ONE)), (found(ONE), both)):
        result = compare_detections(*sides, case, FP32, Tally(), lambda: (both, both))
        assert len(result) == lost


APART = (0.7, 1, (60.0, 10.0, 90.0, 50.0))
CORNER = (0.7, 1, (48.5, 48.5, 90.0, 90.0))  # overlaps ONE by .0007


@pytest.mark.parametrize(("other", "expected"), [(APART, 1), (OVERLAPPING, 1), (CORNER, 0)])
def test_where_no_overlap_is_allowed_only_boxes_that_touch_are_ambiguous(
    other: tuple, expected: int
) -> None:
    other = (0.7, *other[1:])
    both = found(ONE, other)
    case = replace(CASE, iou_threshold=0.0)
    for sides in ((both, found(ONE)), (found(ONE), both)):
        result = compare_detections(*sides, case, FP32, Tally(), lambda: (both, both))
        assert len(result) == expected
