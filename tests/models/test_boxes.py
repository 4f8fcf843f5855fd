"""Areas, overlaps, clipping, and boxes as offsets from anchors."""

import math

import pytest
import torch

from models.box_coder import BoxCoder
from models.boxes import box_area, box_coverage, box_iou, clip_boxes


def random_boxes(count: int, seed: int = 0, size: float = 320.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * size
    return torch.cat((corners.amin(dim=1), corners.amax(dim=1) + 1), dim=1)


def test_iou_of_boxes_worked_out_by_hand() -> None:
    first = torch.tensor([[0.0, 0, 10, 10]])
    second = torch.tensor(
        [[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 10, 20, 20], [2, 2, 4, 4], [3, 3, 3, 3]]
    )
    expected = [[1.0, 50 / 150, 0.0, 4 / 100, 0.0]]
    torch.testing.assert_close(box_iou(first, second), torch.tensor(expected))


def test_iou_of_two_empty_boxes_is_zero() -> None:
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert box_iou(point, point).item() == 0


def test_coverage_is_the_share_of_the_first_box() -> None:
    first = torch.tensor([[0.0, 0, 10, 10], [3, 3, 3, 3]])
    second = torch.tensor([[-5.0, -5, 50, 50], [5, 0, 15, 10], [10, 10, 20, 20], [2, 2, 4, 4]])
    expected = [[1.0, 0.5, 0.0, 0.04], [0.0] * 4]  # nothing of a box without area lies anywhere
    torch.testing.assert_close(box_coverage(first, second), torch.tensor(expected))


def test_inside_out_boxes_have_no_area() -> None:
    assert box_area(torch.tensor([[5.0, 5, 1, 9]])).item() == 0


def test_clipping_moves_corners_inside() -> None:
    boxes = torch.tensor([[-5.0, -1, 400, 90], [10, 20, 30, 40]])
    expected = torch.tensor([[0.0, 0, 200, 90], [10, 20, 30, 40]])
    torch.testing.assert_close(clip_boxes(boxes, height=100, width=200), expected)


@pytest.mark.parametrize("order", ["xywh", "yxhw"])
def test_decoding_undoes_encoding(order: str) -> None:
    coder = BoxCoder(order=order, max_log_scale=None)
    boxes, anchors = random_boxes(500, seed=1), random_boxes(500, seed=2)
    deltas = coder.encode(boxes, anchors)
    torch.testing.assert_close(coder.decode(deltas, anchors), boxes)


def test_encoding_worked_out_by_hand() -> None:
    anchor = torch.tensor([[0.0, 0, 10, 20]])  # centre (5, 10)
    box = torch.tensor([[5.0, 10, 25, 20]])  # centre (15, 15), 20 x 10
    expected = [1.0, 0.25, math.log(2), math.log(0.5)]
    torch.testing.assert_close(BoxCoder().encode(box, anchor), torch.tensor([expected]))
    dx, dy, dw, dh = expected
    swapped = BoxCoder(order="yxhw").encode(box, anchor)
    torch.testing.assert_close(swapped, torch.tensor([[dy, dx, dh, dw]]))


def test_sizes_are_bounded_when_decoding() -> None:
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    huge = torch.tensor([[0.0, 0, 50, 50]])
    box = BoxCoder().decode(huge, anchor)[0]
    torch.testing.assert_close(box[2:] - box[:2], torch.tensor([1000.0, 1000.0]))
    assert BoxCoder(max_log_scale=None).decode(huge, anchor).max() > 1e20


def test_a_degenerate_box_has_finite_deltas() -> None:
    line = torch.tensor([[5.0, 5, 5, 50]])
    assert BoxCoder().encode(line, torch.tensor([[0.0, 0, 10, 10]])).isfinite().all()


@pytest.mark.parametrize("order", ["xywh", "yxhw"])
@pytest.mark.parametrize("weights", [(10.0, 5.0), (0.5, 2.0)])
def test_decoding_undoes_weighted_encoding(order: str, weights: tuple[float, float]) -> None:
    coder = BoxCoder(order=order, max_log_scale=None, weights=weights)
    boxes, anchors = random_boxes(500, seed=3), random_boxes(500, seed=4)
    torch.testing.assert_close(coder.decode(coder.encode(boxes, anchors), anchors), boxes)


def test_weights_multiply_deltas_of_centres_and_of_sizes() -> None:
    anchor = torch.tensor([[0.0, 0, 10, 20]])
    box = torch.tensor([[5.0, 10, 25, 20]])
    deltas = torch.tensor([[1.0 * 10, 0.25 * 10, math.log(2) * 5, math.log(0.5) * 5]])
    coder = BoxCoder(weights=(10.0, 5.0))
    torch.testing.assert_close(coder.encode(box, anchor), deltas)
    torch.testing.assert_close(coder.decode(deltas, anchor), box)


def test_the_bound_on_sizes_is_on_what_weights_were_taken_off() -> None:
    """A delta of 4.2 stands for exp(.84); only above 5 log(1000 / 16) = 20.7 is it bounded."""
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    coder = BoxCoder(weights=(10.0, 5.0))
    boxes = coder.decode(torch.tensor([[0.0, 0, 4.2, 4.2], [0.0, 0, 25, 25]]), anchor)
    widths = torch.tensor([16 * math.exp(0.84), 1000.0])
    torch.testing.assert_close(boxes[:, 2] - boxes[:, 0], widths)


def test_decoding_spreads_over_a_box_for_each_class() -> None:
    """Two proposals [2, 1, 4] against deltas of three classes [2, 3, 4]."""
    proposals = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 60]])
    deltas = torch.zeros(2, 3, 4)
    deltas[:, 1, 0] = 1.0
    deltas[:, 2, 3] = math.log(2)
    boxes = BoxCoder().decode(deltas, proposals[:, None])
    expected = [
        [[0, 0, 10, 10], [10, 0, 20, 10], [0, -5, 10, 15]],
        [[20, 20, 40, 60], [40, 20, 60, 60], [20, 0, 40, 80]],
    ]
    torch.testing.assert_close(boxes, torch.tensor(expected, dtype=torch.float32))
