"""Figures of outlines against the areas that they are made of."""

import math

import numpy as np
import pytest

from models.evaluation import BoxRow
from models.outline_evaluation import ellipse, evaluate_outlines

SQUARE = [20.0, 20.0, 60.0, 20.0, 60.0, 60.0, 20.0, 60.0]


def truth(**changes: object) -> dict[str, object]:
    row = {
        **{"id": 1, "image_id": 1, "category_id": 3, "bbox": [20, 20, 40, 40], "area": 1600},
        **{"iscrowd": 0, "segmentation": [SQUARE]},
    }
    return {
        "images": [{"id": 1, "width": 100, "height": 80}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
        "annotations": [{**row, **changes}],
    }


def found(polygon: list[float], score: float = 0.9, category: int = 3) -> BoxRow:
    outline = (np.array(polygon, dtype=np.float32).reshape(-1, 2),)
    return BoxRow(1, category, (20.0, 20.0, 40.0, 40.0), score, outline)


def test_an_outline_that_is_the_truth_overlaps_it_wholly() -> None:
    figures = evaluate_outlines(truth(), [found(SQUARE)])
    assert (figures.outline_iou, figures.outlines) == (1.0, 1)
    assert figures.mask_ap == pytest.approx(1)
    assert figures.ellipse_iou == pytest.approx(math.pi / 4, abs=0.01)


def test_half_an_object_is_found_by_its_box_and_not_by_its_mask() -> None:
    half = [20.0, 20.0, 39.0, 20.0, 39.0, 60.0, 20.0, 60.0]
    figures = evaluate_outlines(truth(), [found(half)])
    assert figures.outline_iou == pytest.approx(19 / 40)
    assert figures.mask_ap50 == 0


def test_run_lengths_and_parts_are_read_as_pycocotools_reads_them() -> None:
    parts = [[*SQUARE[:4], 60.0, 39.0, 20.0, 39.0], [20.0, 40.0, 60.0, 40.0, *SQUARE[4:]]]
    assert evaluate_outlines(truth(segmentation=parts), [found(SQUARE)]).outline_iou == (
        pytest.approx(1, abs=0.03)
    )
    column = [0] * 20 + [1] * 40 + [0] * 20
    inside = "".join(map(str, [0] * 80 * 20 + column * 40 + [0] * 80 * 40))
    counts = [len(run) for run in inside.replace("01", "0 1").replace("10", "1 0").split()]
    lengths = {"size": [80, 100], "counts": counts}
    assert evaluate_outlines(truth(segmentation=lengths), [found(SQUARE)]).outline_iou == 1


def test_each_object_is_found_by_the_best_of_its_class() -> None:
    small = [20.0, 20.0, 30.0, 20.0, 30.0, 60.0, 20.0, 60.0]
    rows = [found(small, 0.5), found(SQUARE, 0.8), found(small, 0.9, category=4)]
    assert evaluate_outlines(truth(), rows).outline_iou == 1


def test_what_has_no_outline_is_neither_to_be_found_nor_wrong_to_find() -> None:
    content = truth()
    bare = {**truth()["annotations"][0], "id": 2, "category_id": 4}  # type: ignore[index]
    bare.pop("segmentation")
    content["annotations"] += [bare]  # type: ignore[operator]
    figures = evaluate_outlines(content, [found(SQUARE), found(SQUARE, 0.8, category=4)])
    assert figures.mask_ap50 == pytest.approx(1)
    assert figures.outlines == 1
    with pytest.raises(ValueError, match="segmentation"):
        evaluate_outlines({**content, "annotations": [bare]}, [])


def test_nothing_found_has_no_overlap() -> None:
    figures = evaluate_outlines(truth(), [])
    assert (figures.outline_iou, figures.mask_ap50, figures.outlines) == (None, 0, 0)
    assert "outline_iou" not in figures.metrics()


def test_an_ellipse_touches_its_box() -> None:
    (points,) = ellipse((10.0, 20.0, 30.0, 40.0))
    np.testing.assert_allclose(points.min(axis=0), [10, 20], atol=1e-4)
    np.testing.assert_allclose(points.max(axis=0), [40, 60], atol=1e-4)
