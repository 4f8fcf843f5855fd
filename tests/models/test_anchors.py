"""Anchors against literal tensors and counts worked out from the papers."""

import math

import pytest
import torch

from models.anchors import (
    FPN_ANCHORS,
    RETINANET_ANCHORS,
    AnchorGenerator,
    AnchorSettings,
    efficientdet_anchors,
    fpn_anchors,
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
        (fpn_anchors(), 512, 65_472),  # 3 (128^2 + 64^2 + 32^2 + 16^2 + 8^2)
    ],
    ids=["Lite0", "D0", "D7", "D7x", "RetinaNet at 512", "FPN at 512"],
)
def test_number_of_anchors_is_the_published_one(
    settings: AnchorSettings, size: int, count: int
) -> None:
    assert AnchorGenerator(settings).over_input(size, size).shape == (count, 4)


def test_retinanet_counts_at_the_papers_size() -> None:
    # 800 x 1333 is padded to multiples of 32 by the published implementation
    assert AnchorGenerator(retinanet_anchors()).over_input(800, 1344).shape == (
        9 * (100 * 168 + 50 * 84 + 25 * 42 + 13 * 21 + 7 * 11),
        4,
    )


def test_first_cell_of_efficientdet() -> None:
    anchors = AnchorGenerator(efficientdet_anchors(3.0)).over_input(320, 320)
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
    anchors = AnchorGenerator(retinanet_anchors()).over_input(512, 512)
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


def test_first_cells_of_fpn() -> None:
    """Five sides over five levels, which makes 15 anchors with three ratios each."""
    levels = AnchorGenerator(fpn_anchors()).levels(64, 64, [(1, 1)] * 5)
    assert [level.tolist() for level in levels] == [
        [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]],
        [[-45, -23, 45, 23], [-32, -32, 32, 32], [-23, -45, 23, 45]],
        [[-91, -45, 91, 45], [-64, -64, 64, 64], [-45, -91, 45, 91]],
        [[-181, -91, 181, 91], [-128, -128, 128, 128], [-91, -181, 91, 181]],
        [[-362, -181, 362, 181], [-256, -256, 256, 256], [-181, -362, 181, 362]],
    ]


def test_fpn_starts_at_stride_four() -> None:
    anchors = AnchorGenerator(fpn_anchors()).over_input(64, 64)
    squares = anchors[1::3]
    assert squares[:2].tolist() == [[-16, -16, 16, 16], [-12, -16, 20, 16]]
    assert squares[16].tolist() == [-16, -12, 16, 20]  # the second of sixteen rows
    assert squares[256:258].tolist() == [[-32, -32, 32, 32], [-24, -32, 40, 32]]
    assert len(squares) == 256 + 64 + 16 + 4 + 1


def centres_of_squares(level: torch.Tensor, columns: int, per_cell: int) -> tuple[list, list]:
    """x of the first row's cells and y of the first column's."""
    centres = (level[:, :2] + level[:, 2:]) / 2
    cells = centres[per_cell // 2 :: per_cell].reshape(-1, columns, 2)
    return cells[0, :, 0].tolist(), cells[:, 0, 1].tolist()


@pytest.mark.parametrize(
    ("settings", "spacings"),
    [
        (FPN_ANCHORS, [(4, 4), (8, 8), (16, 16), (32, 32), (61, 64)]),
        (RETINANET_ANCHORS, [(8, 8), (16, 16), (32, 32), (61, 64), (114, 122)]),
        (retinanet_anchors(), [(8, 8), (16, 16), (32, 32), (64, 64), (128, 128)]),
    ],
    ids=["Faster R-CNN", "torchvision's RetinaNet", "RetinaNet by strides"],
)
def test_cells_are_spaced_as_in_training(
    settings: AnchorSettings, spacings: list[tuple[int, int]]
) -> None:
    """At 800 x 1344 stride 64 has 13 x 21 cells and 128 has 7 x 11: 800 / 13 is 61.5."""
    grids = [(math.ceil(800 / stride), math.ceil(1344 / stride)) for stride in settings.strides]
    levels = AnchorGenerator(settings).levels(800, 1344, grids)
    for level, (rows, columns), (down, right) in zip(levels, grids, spacings, strict=True):
        x, y = centres_of_squares(level, columns, settings.per_cell)
        assert x == [column * right for column in range(columns)]
        assert y == [row * down for row in range(rows)]


@pytest.mark.parametrize(
    "settings",
    [efficientdet_anchors(4.0), retinanet_anchors(24), RETINANET_ANCHORS, fpn_anchors(16)],
    ids=["EfficientDet", "RetinaNet", "torchvision's RetinaNet", "FPN"],
)
@pytest.mark.parametrize(("height", "width"), [(256, 256), (100, 300), (33, 17)])
def test_anchors_of_an_input_are_those_of_its_levels_end_to_end(
    settings: AnchorSettings, height: int, width: int
) -> None:
    grids = [(math.ceil(height / s), math.ceil(width / s)) for s in settings.strides]
    generator = AnchorGenerator(settings)
    levels = generator.levels(height, width, grids)
    assert [len(level) for level in levels] == [r * c * settings.per_cell for r, c in grids]
    assert torch.equal(torch.cat(levels), generator.over_input(height, width))


def test_levels_and_grids_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        AnchorGenerator(fpn_anchors()).levels(64, 64, [(4, 4)] * 4)


def test_order_is_level_row_column_and_anchor() -> None:
    settings = AnchorSettings(
        sizes=((4.0,), (8.0,)), ratios=((1.0, 1.0), (2.0, 1.0)), strides=(8, 16)
    )
    anchors = AnchorGenerator(settings).over_input(16, 24)
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
    last = AnchorGenerator(efficientdet_anchors(3.0)).over_input(320, 320)[-9:]
    torch.testing.assert_close((last[:, :2] + last[:, 2:]) / 2, torch.full((9, 2), 320.0))
