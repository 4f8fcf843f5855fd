"""Anchors: the boxes that a detector's outputs are offsets from.

Every level of the feature pyramid is a grid; at each of its cells stand the same few anchors, one
for each pair of octave (a size within the level) and aspect ratio. RetinaNet (arXiv 1708.02002,
section 4) and EfficientDet (arXiv 1911.09070, section 4) differ in conventions only, and each
convention is a field of `AnchorSettings`.
"""

from dataclasses import dataclass

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
    fits_input: whether a level's cells are spaced by the input's side over their number, cut to
        whole pixels, in place of the stride. At 800 pixels P6 has 13 cells, and torchvision's stand
        61 pixels apart and not 64.
    """

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[tuple[float, float], ...]
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    offset: float = 0.5
    rounded: bool = False
    ratio_major: bool = False
    fits_input: bool = False

    @property
    def per_cell(self) -> int:
        """Anchors at each cell of a level."""
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


def retinanet_anchors(base: int = 32, fits_input: bool = False) -> AnchorSettings:
    """RetinaNet's: sides ``base`` x (1, 2, 4, 8, 16) x (1, 2^1/3, 2^2/3), cut to whole pixels;
    height to width .5, 1 and 2 at equal area.

    At stride 8 and base 32 the first cell's anchors are, in xyxy around (0, 0):

        (-23, -11, 23, 11)   (-28, -14, 28, 14)   (-35, -18, 35, 18)
        (-16, -16, 16, 16)   (-20, -20, 20, 20)   (-25, -25, 25, 25)
        (-11, -23, 11, 23)   (-14, -28, 14, 28)   (-18, -35, 18, 35)
    """
    octaves = tuple(2 ** (octave / 3) for octave in range(3))
    return _torchvision_anchors(
        sizes=tuple(
            tuple(float(int(base * 2**level * octave)) for octave in octaves) for level in range(5)
        ),
        strides=(8, 16, 32, 64, 128),
        fits_input=fits_input,
    )


def fpn_anchors(base: int = 32) -> AnchorSettings:
    """FPN's (arXiv 1612.03144, section 4.1): on P2 to P6, one octave of sides ``base`` x (1, 2, 4,
    8, 16), height to width .5, 1 and 2: 15 anchors over the five levels.

    At base 32 the first cell of each level has these, in xyxy around (0, 0):

        P2, stride 4     (-23, -11, 23, 11)      (-16, -16, 16, 16)      (-11, -23, 11, 23)
        P3, stride 8     (-45, -23, 45, 23)      (-32, -32, 32, 32)      (-23, -45, 23, 45)
        P4, stride 16    (-91, -45, 91, 45)      (-64, -64, 64, 64)      (-45, -91, 45, 91)
        P5, stride 32    (-181, -91, 181, 91)    (-128, -128, 128, 128)  (-91, -181, 91, 181)
        P6, stride 64    (-362, -181, 362, 181)  (-256, -256, 256, 256)  (-181, -362, 181, 362)
    """
    return _torchvision_anchors(
        sizes=tuple((float(base * 2**level),) for level in range(5)),
        strides=(4, 8, 16, 32, 64),
        fits_input=True,
    )


def _torchvision_anchors(
    sizes: tuple[tuple[float, ...], ...], strides: tuple[int, ...], fits_input: bool
) -> AnchorSettings:
    """torchvision's conventions: centred on cells' corners, whole pixels, three ratios."""
    return AnchorSettings(
        sizes=sizes,
        ratios=tuple((ratio**-0.5, ratio**0.5) for ratio in (0.5, 1.0, 2.0)),
        strides=strides,
        offset=0.0,
        rounded=True,
        ratio_major=True,
        fits_input=fits_input,
    )


RETINANET_ANCHORS = retinanet_anchors(fits_input=True)  # torchvision's
FPN_ANCHORS = fpn_anchors()


@dataclass(frozen=True)
class AnchorGenerator:
    """Lays anchors over an input, level by level where the pyramid's grids are at hand.

    The order is level, row, column, anchor within the cell: that of the heads' flattened outputs.
    """

    settings: AnchorSettings

    def over_input(self, height: int, width: int) -> Tensor:
        """All anchors of an input of ``height`` x ``width`` pixels, float32 [A, 4], xyxy."""
        grids = [(-(-height // s), -(-width // s)) for s in self.settings.strides]
        return torch.cat(self.levels(height, width, grids))

    def levels(self, height: int, width: int, grids: list[tuple[int, int]]) -> list[Tensor]:
        """Each level's anchors [A_l, 4] from the (rows, columns) that its features have."""
        levels = []
        for sizes, stride, (rows, columns) in zip(
            self.settings.sizes, self.settings.strides, grids, strict=True
        ):
            spacing = (height // rows, width // columns)
            levels.append(
                self._level(
                    sizes, spacing if self.settings.fits_input else (stride, stride), rows, columns
                )
            )
        return levels

    def _level(
        self, sizes: tuple[float, ...], spacing: tuple[int, int], rows: int, columns: int
    ) -> Tensor:
        y = (torch.arange(rows, dtype=torch.float32) + self.settings.offset) * spacing[0]
        x = (torch.arange(columns, dtype=torch.float32) + self.settings.offset) * spacing[1]
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
