"""effdet's own anchors, held against ours, or read."""

import pytest
import torch

from export.laid_out_anchors import compare_laid_out, side_of
from export.settings import Settings, parse_anchor_sizes, parse_aspect_ratios, to_anchors
from models.anchors import AnchorGenerator, AnchorSettings, efficientdet_anchors

OURS = efficientdet_anchors(3.0)


def laid_out(anchors: AnchorSettings, side: int) -> torch.Tensor:
    """As effdet keeps them: top, left, bottom, right."""
    return AnchorGenerator(anchors).over_input(side, side)[:, [1, 0, 3, 2]]


@pytest.mark.parametrize("side", [256, 320, 512])
def test_their_number_tells_the_input(side: int) -> None:
    boxes = laid_out(OURS, side)
    assert side_of(boxes, OURS) == side
    assert compare_laid_out(boxes, OURS, side, side) is None
    fault = compare_laid_out(boxes, OURS, 640, 640)
    assert fault is not None
    assert f"of an input of {side} pixels (--input-size {side}), not of 640 x 640" in fault


def test_others_are_refused_with_the_options_that_make_them_ours() -> None:
    other = to_anchors(
        efficientdet_anchors(2.0),
        Settings(aspect_ratios=parse_aspect_ratios("1x1 1.4x0.7 0.5x1.9")),
    )
    boxes = laid_out(other, 256)
    fault = compare_laid_out(boxes, OURS, 256, 256)
    assert fault is not None
    sizes, ratios = fault.split('"')[1::2]
    told = Settings(
        anchor_sizes=parse_anchor_sizes(sizes), aspect_ratios=parse_aspect_ratios(ratios)
    )
    assert compare_laid_out(boxes, to_anchors(OURS, told), 256, 256) is None


def test_a_layout_that_no_options_give_is_said_to_be_one() -> None:
    boxes = laid_out(OURS, 256)
    boxes[100] += 3
    fault = compare_laid_out(boxes, OURS, 256, 256)
    assert fault == "its anchors.boxes are of a layout of its own, which cannot be served"
    assert "of no size" in str(compare_laid_out(boxes[:100], OURS, 256, 256))
