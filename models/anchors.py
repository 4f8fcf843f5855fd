"""Anchors: the boxes that a detector's outputs are offsets from.

Every level of the feature pyramid is a grid; at each of its cells stand the same few anchors, one
for each pair of octave (a size within the level) and aspect ratio. RetinaNet (arXiv 1708.02002,
section 4) and EfficientDet (arXiv 1911.09070, section 4) differ in conventions only, and each
convention is a field of `AnchorSettings`.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class AnchorSettings:
    """How anchors are laid out.

    sizes: for each level its anchors' sides in pixels, before the aspect ratio.
    ratios: (width factor, height factor) of each aspect ratio, as multiples of the side.
    strides: pixels between neighbouring cells, per level.
    offset: where in its cell an anchor's centre lies, in strides: 0 is the corner, .5 the middle.
    rounded: whether corners relative to the centre are rounded to whole pixels.
    ratio_major: order within a cell; True holds the ratio and runs over sizes, False the reverse.
    """

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[tuple[float, float], ...]
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    offset: float = 0.5
    rounded: bool = False
    ratio_major: bool = False

    @property
    def per_cell(self) -> int:
        return len(self.sizes[0]) * len(self.ratios)


def efficientdet_anchors(scale: float, levels: int = 5) -> AnchorSettings:
    """EfficientDet's: ``scale`` x stride x (1, 2^1/3, 2^2/3); ratios 1:1, 1.4:.7 and .7:1.4.

    At stride 8 and scale 3 a cell's nine anchors have these sizes, width x height:

        24.00 x 24.00   33.60 x 16.80   16.80 x 33.60
        30.24 x 30.24   42.33 x 21.17   21.17 x 42.33
        38.10 x 38.10   53.34 x 26.67   26.67 x 53.34
    """
    strides = tuple(8 * 2**level for level in range(levels))
    return AnchorSettings(
        sizes=tuple(tuple(scale * s * 2 ** (octave / 3) for octave in range(3)) for s in strides),
        ratios=((1.0, 1.0), (1.4, 0.7), (0.7, 1.4)),
        strides=strides,
    )


def retinanet_anchors(base: int = 32) -> AnchorSettings:
    """RetinaNet's: sides ``base`` x (1, 2, 4, 8, 16) x (1, 2^1/3, 2^2/3), cut to whole pixels;
    height to width .5, 1 and 2 at equal area.

    At stride 8 and base 32 the first cell's anchors are, in xyxy around (0, 0):

        (-23, -11, 23, 11)   (-28, -14, 28, 14)   (-35, -18, 35, 18)
        (-16, -16, 16, 16)   (-20, -20, 20, 20)   (-25, -25, 25, 25)
        (-11, -23, 11, 23)   (-14, -28, 14, 28)   (-18, -35, 18, 35)
    """
    sides = tuple(base * 2**level for level in range(5))
    return AnchorSettings(
        sizes=tuple(
            tuple(float(int(side * 2 ** (octave / 3))) for octave in range(3)) for side in sides
        ),
        ratios=tuple((ratio**-0.5, ratio**0.5) for ratio in (0.5, 1.0, 2.0)),
        offset=0.0,
        rounded=True,
        ratio_major=True,
    )


@dataclass(frozen=True)
class AnchorGenerator:
    """Lays anchors over an input of a fixed size.

    The order is level, row, column, anchor within the cell: that of the heads' flattened outputs.
    """

    settings: AnchorSettings
    height: int
    width: int

    @cached_property
    def anchors(self) -> Tensor:
        """All anchors, float32 [A, 4], xyxy in pixels of the input."""
        levels = zip(self.settings.sizes, self.settings.strides, strict=True)
        return torch.cat([self._level(sizes, stride) for sizes, stride in levels])

    def _level(self, sizes: tuple[float, ...], stride: int) -> Tensor:
        rows, columns = -(-self.height // stride), -(-self.width // stride)
        y = (torch.arange(rows, dtype=torch.float32) + self.settings.offset) * stride
        x = (torch.arange(columns, dtype=torch.float32) + self.settings.offset) * stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack((grid_x, grid_y, grid_x, grid_y), dim=-1)  # [rows, columns, 4]
        return (centres[:, :, None] + self._cell(sizes)).reshape(-1, 4)

    def _cell(self, sizes: tuple[float, ...]) -> Tensor:
        """One cell's anchors [per_cell, 4] around (0, 0)."""
        ratios = self.settings.ratios
        if self.settings.ratio_major:
            sides = [(size * w, size * h) for w, h in ratios for size in sizes]
        else:
            sides = [(size * w, size * h) for size in sizes for w, h in ratios]
        halves = torch.tensor(sides, dtype=torch.float32) / 2  # [per_cell, 2]
        cell = torch.cat((-halves, halves), dim=1)
        return cell.round() if self.settings.rounded else cell
