"""Geometric changes: where a photo and its boxes come to lie on a canvas."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

Loaded = tuple[Image.Image, Tensor, Tensor]
"""An RGB photo or view, its boxes float32 [G, 4] xyxy in its pixels, and what each is of, [G, …]:
labels or targets, which augmentations pass on as they are."""

Colour = tuple[int, int, int]

FILL: Colour = (128, 128, 128)
SMALLEST_SIDE = 4.0  # pixels of the network's input; a smaller object is no longer visible
LEAST_VISIBLE = 0.3  # share of a box's area that a crop must leave for the box to stay


def visible(boxes: Tensor, labels: Tensor, canvas: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What a canvas shows of ``boxes`` [G, 4], and the labels of those of which it shows enough."""
    shown = boxes.clamp(min=torch.zeros(4), max=torch.tensor(canvas * 2, dtype=boxes.dtype))
    sides, whole = shown[:, 2:] - shown[:, :2], boxes[:, 2:] - boxes[:, :2]
    kept = (sides.prod(dim=1) >= LEAST_VISIBLE * whole.prod(dim=1)) & (
        sides.amin(dim=1) >= SMALLEST_SIDE
    )
    return shown[kept], labels[kept]


@dataclass(frozen=True)
class Warp:
    """How a photo gets onto a canvas: resized, mirrored, shifted and turned, in this order.

    photo, canvas: width and height of both, in their own pixels.
    scaled: width and height of the photo on the canvas, before it is turned.
    shift: where its top left corner lies on the canvas, before it is turned; negative if cut off.
    angle: degrees, clockwise. The photo turns about the middle of what the canvas shows of it, so
        that none is turned out of sight.
    fill: colour of the canvas where the photo is not.
    antialias: whether a photo that is made smaller is smoothed.
    """

    photo: tuple[int, int]
    canvas: tuple[int, int]
    scaled: tuple[int, int]
    shift: tuple[int, int]
    mirrored: bool = False
    angle: float = 0.0
    fill: Colour = FILL
    antialias: bool = True

    def move(self, boxes: Tensor) -> Tensor:
        """``boxes`` float32 [G, 4] xyxy of the photo, in pixels of the canvas, and beyond it.

        A turned box becomes the hull of the ellipse inscribed in it, which is what "Towards
        Rotation Invariance in Object Detection" (ICCV 2021) finds best: the hull of its corners
        is too large for nearly every object, most of which do not reach into the corners.
        """
        centres = self.move_points((boxes[:, :2] + boxes[:, 2:]) / 2)
        radii = (boxes[:, 2:] - boxes[:, :2]) / 2 * self._scale
        if self.angle:
            radii = (radii.square() @ self._turning.square().T).sqrt()
        return torch.cat((centres - radii, centres + radii), dim=1)

    def move_points(self, points: Tensor) -> Tensor:
        """``points`` float32 [..., 2] of the photo, in pixels of the canvas, and beyond it."""
        x, y = (points * self._scale).unbind(-1)
        if self.mirrored:
            x = self.scaled[0] - x
        moved = torch.stack((x, y), dim=-1) + torch.tensor(self.shift)
        if self.angle:
            pivot = torch.tensor(self._pivot)
            moved = (moved - pivot) @ self._turning.T + pivot
        return moved

    def cut(self, image: Image.Image) -> Image.Image:
        """The part of the photo that the canvas shows, resized and mirrored. RGB."""
        left, top, right, bottom = self._part
        width, height = self.scaled
        if self.mirrored:
            left, right = width - right, width - left
        # Only this part of the photo is read. Whole numbers are divided last, for the ratio is to
        # be no more than the photo's side.
        box = (
            left * image.width / width,
            top * image.height / height,
            right * image.width / width,
            bottom * image.height / height,
        )
        size = (right - left, bottom - top)
        if self.antialias:
            part = image.resize(size, Image.Resampling.BILINEAR, box)
        else:
            extent = Image.Transform.EXTENT
            part = image.transform(size, extent, box, Image.Resampling.BILINEAR)
        return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirrored else part

    def paste(self, part: Image.Image) -> Image.Image:
        """The canvas, with what ``cut`` returned in its place."""
        left, top, _, _ = self._part
        x, y = self.shift[0] + left, self.shift[1] + top
        if self.angle:
            cos, sin = self._turn
            pivot_x, pivot_y = self._pivot
            # From a pixel of the canvas to the part's: turned back about the pivot, then shifted.
            return part.transform(
                self.canvas,
                Image.Transform.AFFINE,
                (
                    *(cos, sin, pivot_x - x - cos * pivot_x - sin * pivot_y),
                    *(-sin, cos, pivot_y - y + sin * pivot_x - cos * pivot_y),
                ),
                Image.Resampling.BILINEAR,
                fillcolor=self.fill,
            )
        if part.size == self.canvas:
            return part
        canvas = Image.new("RGB", self.canvas, self.fill)
        canvas.paste(part, (x, y))
        return canvas

    @property
    def _scale(self) -> Tensor:
        return torch.tensor([s / p for s, p in zip(self.scaled, self.photo, strict=True)])

    @property
    def _turning(self) -> Tensor:
        cos, sin = self._turn
        return torch.tensor([[cos, -sin], [sin, cos]])

    @cached_property
    def _turn(self) -> tuple[float, float]:
        """Cosine and sine of the angle."""
        return math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))

    @cached_property
    def _pivot(self) -> tuple[float, float]:
        """The middle of what the canvas would show without a turn, in its pixels."""
        x, y = (
            (max(0, shift) + min(side, shift + scaled)) / 2
            for shift, side, scaled in zip(self.shift, self.canvas, self.scaled, strict=True)
        )
        return x, y

    @cached_property
    def _part(self) -> tuple[int, int, int, int]:
        """The least box, xyxy in the scaled photo's pixels, with everything that is shown."""
        cos, sin = self._turn
        (pivot_x, pivot_y), (width, height) = self._pivot, self.canvas
        # The canvas turned back: its middle, and how far it reaches from there.
        x, y = width / 2 - pivot_x, height / 2 - pivot_y
        middle = (cos * x + sin * y + pivot_x, cos * y - sin * x + pivot_y)
        reach = (
            (width * abs(cos) + height * abs(sin)) / 2,
            (width * abs(sin) + height * abs(cos)) / 2,
        )
        left, top = (
            max(0, math.floor(m - r - s)) for m, r, s in zip(middle, reach, self.shift, strict=True)
        )
        right, bottom = (
            min(side, math.ceil(m + r - s))
            for m, r, s, side in zip(middle, reach, self.shift, self.scaled, strict=True)
        )
        return left, top, right, bottom
