"""effdet's anchors, which its detectors keep in their state dict as `anchors.boxes`."""

from dataclasses import replace

import torch
from torch import Tensor

from export.settings import anchor_sizes_text, aspect_ratios_text
from models.anchors import AnchorGenerator, AnchorSettings

STEP, LARGEST = 64, 2048  # pixels of sides that an input may have
TOLERANCE_PX = 0.01


def side_of(laid_out: Tensor, anchors: AnchorSettings) -> int | None:
    """Pixels of a side of the square input that ``laid_out`` [A, 4] (top, left, bottom, right) are
    laid over, by their number; None if it fits no size."""
    for side in range(STEP, LARGEST + 1, STEP):
        cells = sum((-(-side // stride)) ** 2 for stride in anchors.strides)
        if cells * anchors.per_cell == len(laid_out):
            return side
    return None


def compare_laid_out(
    laid_out: Tensor, anchors: AnchorSettings, height: int, width: int
) -> str | None:
    """How ``laid_out`` differ from the network's ``anchors`` on such an input, and what options
    make them the same; None if they are the same."""
    side = side_of(laid_out, anchors)
    if side is None or (side, side) != (height, width):
        at = f"those of an input of {side} pixels (--input-size {side})" if side else "of no size"
        return f"its {len(laid_out)} anchors.boxes are {at}, not of {height} x {width}"
    if _same(laid_out, anchors, side):
        return None
    own = read_anchors(laid_out, anchors, side)
    if own is None:
        return "its anchors.boxes are of a layout of its own, which cannot be served"
    return (
        "its anchors.boxes are not the architecture's: say --anchor-sizes"
        f' "{anchor_sizes_text(own.sizes)}" --aspect-ratios "{aspect_ratios_text(own.ratios)}"'
    )


def read_anchors(laid_out: Tensor, anchors: AnchorSettings, side: int) -> AnchorSettings | None:
    """``anchors`` with the sizes and ratios that ``laid_out`` have, or None if nothing fits."""
    sizes, ratios, start = [], anchors.ratios, 0
    for stride in anchors.strides:
        cell = laid_out[start : start + anchors.per_cell]
        sides = (cell[:, [3, 2]] - cell[:, [1, 0]]).double()  # [per_cell, 2], width and height
        first = sides[:: len(anchors.ratios)]
        sizes.append(tuple(round(float(s), 4) for s in first.prod(dim=1).sqrt()))
        ratios = tuple(
            (round(float(w), 4), round(float(h), 4))
            for w, h in sides[: len(anchors.ratios)] / sizes[-1][0]
        )
        start += (-(-side // stride)) ** 2 * anchors.per_cell
    own = replace(anchors, sizes=tuple(sizes), ratios=ratios)
    return own if _same(laid_out, own, side) else None


def _same(laid_out: Tensor, anchors: AnchorSettings, side: int) -> bool:
    expected = AnchorGenerator(anchors).over_input(side, side)
    own = laid_out[:, [1, 0, 3, 2]].to(expected.dtype)
    return bool(torch.allclose(own, expected, rtol=1e-4, atol=TOLERANCE_PX))
