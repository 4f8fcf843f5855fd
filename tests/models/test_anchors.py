"""Anchors against literal tensors and counts worked out from the papers."""

import pytest
import torch

from models.anchors import (
    AnchorGenerator,
    AnchorSettings,
    efficientdet_anchors,
    retinanet_anchors,
)


@pytest.mark.parametrize(
    ("settings", "size", "count"),
    [
        (efficientdet_anchors(3.0), 320, 19_206),  # 9 (40^2 + 20^2 + 10^2 + 5^2 + 3^2)
        (efficientdet_anchors(4.0), 512, 49_104),  # 9 (64^2 + 32^2 + 16^2 + 8^2 + 4^2)
        (efficientdet_anchors(5.0), 1536, 441_936),
        (efficientdet_anchors(4.0, levels=6), 1536, 442_260),
        (retinanet_anchors(), 512, 49_104),
    ],
    ids=["Lite0", "D0", "D7", "D7x", "RetinaNet at 512"],
)
def test_number_of_anchors_is_the_published_one(
    settings: AnchorSettings, size: int, count: int
) -> None:
    assert AnchorGenerator(settings, size, size).anchors.shape == (count, 4)


def test_retinanet_counts_at_the_papers_size() -> None:
    # 800 x 1333 is padded to multiples of 32 by the published implementation
    assert AnchorGenerator(retinanet_anchors(), 800, 1344).anchors.shape == (
        9 * (100 * 168 + 50 * 84 + 25 * 42 + 13 * 21 + 7 * 11),
        4,
    )


def test_first_cell_of_efficientdet() -> None:
    anchors = AnchorGenerator(efficientdet_anchors(3.0), 320, 320).anchors
    sides = torch.tensor(
        [
            [24.0, 24.0],
            [33.6, 16.8],
            [16.8, 33.6],
            [30.2381, 30.2381],
            [42.3333, 21.1667],
            [21.1667, 42.3333],
            [38.0976, 38.0976],
            [53.3367, 26.6683],
            [26.6683, 53.3367],
        ]
    )
    torch.testing.assert_close(anchors[:9, 2:] - anchors[:9, :2], sides, atol=1e-3, rtol=0)
    torch.testing.assert_close((anchors[:9, 2:] + anchors[:9, :2]) / 2, torch.full((9, 2), 4.0))


def test_first_cell_of_retinanet() -> None:
    anchors = AnchorGenerator(retinanet_anchors(), 512, 512).anchors
    expected = [
        [-23, -11, 23, 11],
        [-28, -14, 28, 14],
        [-35, -18, 35, 18],
        [-16, -16, 16, 16],
        [-20, -20, 20, 20],
        [-25, -25, 25, 25],
        [-11, -23, 11, 23],
        [-14, -28, 14, 28],
        [-18, -35, 18, 35],
    ]
    assert anchors[:9].tolist() == expected


def test_order_is_level_row_column_and_anchor() -> None:
    settings = AnchorSettings(
        sizes=((4.0,), (8.0,)), ratios=((1.0, 1.0), (2.0, 1.0)), strides=(8, 16)
    )
    anchors = AnchorGenerator(settings, 16, 24).anchors
    assert anchors.tolist() == [
        [2, 2, 6, 6], [0, 2, 8, 6],
        [10, 2, 14, 6], [8, 2, 16, 6],
        [18, 2, 22, 6], [16, 2, 24, 6],
        [2, 10, 6, 14], [0, 10, 8, 14],
        [10, 10, 14, 14], [8, 10, 16, 14],
        [18, 10, 22, 14], [16, 10, 24, 14],
        [4, 4, 12, 12], [0, 4, 16, 12],
        [20, 4, 28, 12], [16, 4, 32, 12],
    ]  # fmt: skip


def test_a_level_that_does_not_divide_is_rounded_up() -> None:
    """At 320 pixels stride 128 has three cells, the last centred on the border."""
    last = AnchorGenerator(efficientdet_anchors(3.0), 320, 320).anchors[-9:]
    torch.testing.assert_close((last[:, :2] + last[:, 2:]) / 2, torch.full((9, 2), 320.0))
