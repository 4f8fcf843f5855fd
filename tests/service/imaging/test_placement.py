"""Boxes between a photo and its input."""

import numpy as np
import pytest

from service.imaging.placement import Placement


@pytest.mark.parametrize(
    "place",
    [Placement(640, 480, 0.5, 0.5), Placement(300, 200, 2.0, 1.5, left=7, top=-3)],
    ids=["corner", "elsewhere"],
)
def test_apply_is_undone(place: Placement) -> None:
    boxes = np.array([[0, 0, 10, 20], [30.5, 40, 250, 199]], dtype=np.float32)
    on_input = place.apply(boxes)
    assert on_input.dtype == np.float32
    np.testing.assert_allclose(place.undo(on_input), boxes, atol=1e-4)


def test_a_box_is_where_the_photo_is() -> None:
    place = Placement(100, 50, 2.0, 4.0, left=5, top=10)
    assert place.apply(np.array([[0, 0, 100, 50]], np.float32)).tolist() == [[5, 10, 205, 210]]
